"""Tokens that are parts of characters: which of them may follow which, so that text stays UTF-8.

A state is what is missing of a character: COMPLETE nothing, the others some bytes in a range. A
token is a sequence of bytes that moves from one state to another, or is impossible there.
Source: The Unicode Standard, table 3-7, well-formed UTF-8 byte sequences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

COMPLETE, IMPOSSIBLE = 0, -1
MISSING_BYTES = (0, 1, 2, 3, 2, 2, 3, 3)  # by state

CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # a file of them is no text; tab is allowed
# State -> the ranges of the bytes that may follow, and the state after each.
FOLLOWING: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((0x00, 0x7F, 0), (0xC2, 0xDF, 1), (0xE0, 0xE0, 4), (0xE1, 0xEC, 2), (0xED, 0xED, 5),
     (0xEE, 0xEF, 2), (0xF0, 0xF0, 6), (0xF1, 0xF3, 3), (0xF4, 0xF4, 7)),
    ((0x80, 0xBF, 0),),
    ((0x80, 0xBF, 1),),
    ((0x80, 0xBF, 2),),
    ((0xA0, 0xBF, 1),),  # after E0: no overlong forms
    ((0x80, 0x9F, 1),),  # after ED: no surrogates
    ((0x90, 0xBF, 2),),  # after F0: no overlong forms
    ((0x80, 0x8F, 2),),  # after F4: nothing above U+10FFFF
)  # fmt: skip


def state_after(content: bytes, state: int = COMPLETE) -> int:
    """The state after some bytes, or IMPOSSIBLE."""
    for byte in content:
        state = next((s for a, b, s in FOLLOWING[state] if a <= byte <= b), IMPOSSIBLE)
        if state == IMPOSSIBLE:
            break
    return state


def transition_table(tokens: Sequence[bytes]) -> list[list[int]]:
    """State after each token, by state and token; control characters are impossible."""
    impossible = [IMPOSSIBLE] * len(FOLLOWING)
    complete = [COMPLETE, *impossible[1:]]
    rows = [
        impossible
        if CONTROL.search(token)
        else complete
        if token.isascii() and token
        else [state_after(token, s) for s in range(8)]
        for token in tokens
    ]
    return [list(row) for row in zip(*rows, strict=True)]


def token_bytes(tokenizer: str, names: Sequence[str]) -> list[bytes] | None:
    """The bytes that each token of a tokenizer.json is decoded to, by id.

    None if every token is whole characters, or joined in another way.
    """
    described = json.loads(tokenizer)
    decoders = set(_types(described.get("decoder")))
    whole = {token["content"] for token in described.get("added_tokens", [])}
    if "ByteLevel" in decoders:
        table = {character: byte for byte, character in _byte_characters().items()}
        return [_mapped(name, table) if name not in whole else b"." for name in names]
    if "ByteFallback" in decoders:
        return [_fallback(name) if name not in whole else b"." for name in names]
    return None


def _types(decoder: Any) -> Iterator[str]:
    """The types of a decoder and of those in it."""
    if isinstance(decoder, dict):
        yield str(decoder.get("type"))
        for part in decoder.get("decoders", ()):
            yield from _types(part)


def _mapped(name: str, table: dict[str, int]) -> bytes:
    """The bytes of a byte-level token, whose characters stand for bytes."""
    is_mapped = all(character in table for character in name)
    return bytes(table[character] for character in name) if is_mapped else name.encode()


def _fallback(name: str) -> bytes:
    """The byte of a token such as <0xE4>; the text of another."""
    found = re.fullmatch("<0x([0-9A-Fa-f]{2})>", name)
    return bytes.fromhex(found[1]) if found else name.encode()


def _byte_characters() -> dict[int, str]:
    """Byte -> the printable character that stands for it in byte-level vocabularies.

    Source: Radford et al. 2019 (GPT-2), `bytes_to_unicode` of the published code.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    named = {byte: chr(byte) for byte in printable}
    return named | {byte: chr(256 + k) for k, byte in enumerate(others)}
