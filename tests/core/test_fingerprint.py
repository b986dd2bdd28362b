"""A fingerprint is the digest of the parts, one after the other, and never changes."""

import hashlib

from multigan.core.fingerprint import fingerprint


def test_parts_are_hashed_one_after_the_other():
    whole = hashlib.blake2b("é(1, 'a')".encode() + b"\0xyz", digest_size=16).hexdigest()
    assert fingerprint(("é", (1, "a"), b"\0x", memoryview(b"yz"))) == whole
    assert fingerprint(iter(["é", (1, "a"), b"\0xyz"])) == whole


def test_it_has_two_digits_for_a_byte_and_is_that_of_earlier_versions():
    assert fingerprint(("abc",), size=4) == "63906248"
    assert len(fingerprint(())) == 32
