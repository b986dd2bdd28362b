"""Fingerprints: hexadecimal digests of data and settings, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def fingerprint(parts: Iterable[object], size: int = 16) -> str:
    """Return 2 * `size` hexadecimal digits of the parts, one after the other.

    Bytes and views of memory count as they are, strings in UTF-8, all else by its repr.
    """
    digest = hashlib.blake2b(digest_size=size)
    for part in parts:
        if isinstance(part, bytes | memoryview):
            digest.update(part)
        else:
            digest.update((part if isinstance(part, str) else repr(part)).encode())
    return digest.hexdigest()
