"""Good files made bad: bits, pieces and number fields of bytes, and nodes of JSON trees."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

MOST_CHANGES = 3  # of one input
MOST_REPEATS = 64
EXTREMES = (
    0,
    1,
    -1,
    2**7,
    2**8 - 1,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
NEST = 100_000  # brackets
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 0.5, 1e308, -1e308),
    *(math.nan, math.inf, "", "0", "\0", "\ud800", "x" * 10_000, "../../x", "/etc/passwd"),
    *("os.system", "points/MLPGenerator", [], {}, [[]], [None], {"": None}, {"component": "x"}),
    *([0] * 1000, {"component": "points/MLPGenerator", "arguments": []}, {"schedule": {}}),
)
Draw = Callable[[Any], Any]


def _flip(draw: Draw, content: bytearray) -> bytes:
    """Some bits of one byte."""
    content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
    return bytes(content)


def _truncate(draw: Draw, content: bytearray) -> bytes:
    return bytes(content[: draw(st.integers(0, len(content) - 1))])


def _insert(draw: Draw, content: bytearray) -> bytes:
    at = draw(st.integers(0, len(content)))
    return bytes(content[:at]) + draw(st.binary(min_size=1, max_size=16)) + bytes(content[at:])


def _remove(draw: Draw, content: bytearray) -> bytes:
    at = draw(st.integers(0, len(content) - 1))
    return bytes(content[:at] + content[at + draw(st.integers(1, 64)) :])


def _repeat(draw: Draw, content: bytearray) -> bytes:
    """A block stands several times."""
    at, length = draw(st.integers(0, len(content) - 1)), draw(st.integers(1, 256))
    block = content[at : at + length] * draw(st.integers(1, MOST_REPEATS))
    return bytes(content[:at] + block + content[at:])


def _extreme(draw: Draw, content: bytearray) -> bytes:
    """A field of 1 to 8 bytes holds a number at the edge of its range."""
    width, order = draw(st.sampled_from((1, 2, 4, 8))), draw(st.sampled_from(("big", "little")))
    at = draw(st.integers(0, len(content) - 1))
    number = draw(st.sampled_from(EXTREMES)) % 2 ** (8 * width)
    content[at : at + width] = number.to_bytes(width, order)
    return bytes(content)


def _digits(draw: Draw, content: bytearray) -> bytes:
    """A number that is written out is another one."""
    places = [k for k, byte in enumerate(content) if 48 <= byte <= 57]
    if not places:
        return _flip(draw, content)
    at = draw(st.sampled_from(places))
    number = draw(st.sampled_from((*EXTREMES, 10**400, "1e999", "nan", "-")))
    return bytes(content[:at]) + str(number).encode() + bytes(content[at + 1 :])


BYTES = (_flip, _flip, _truncate, _insert, _remove, _repeat, _extreme, _extreme, _digits)


@st.composite
def damaged(draw: Draw, content: bytes) -> bytes:
    """The content after one change or a few."""
    for _ in range(draw(st.integers(1, MOST_CHANGES))):
        change = draw(st.sampled_from(BYTES))
        content = change(draw, bytearray(content)) if content else b""
    return content


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


@st.composite
def changed_json(draw: Draw, content: bytes) -> bytes:
    """A JSON text of the same tree with odd values, moved, missing, or nested values in it."""
    tree = json.loads(content)
    for _ in range(draw(st.integers(1, MOST_CHANGES))):
        places = list(_places(tree))
        if not places:
            break
        owner, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(("odd", "odd", "odd", "missing", "moved", "nested")))
        if kind == "missing":
            del owner[key]
        elif kind == "moved":
            other, place = places[draw(st.integers(0, len(places) - 1))]
            owner[key] = json.loads(json.dumps(other[place]))
        elif kind == "nested":
            owner[key] = "NESTED"
        else:
            owner[key] = deepcopy(draw(st.sampled_from(ODD_VALUES)))
    return json.dumps(tree).replace('"NESTED"', "[" * NEST + "]" * NEST).encode()
