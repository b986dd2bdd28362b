"""Keys and chord symbols as text."""

from __future__ import annotations

import re

from multigan.music.theory import CHORD_KINDS, OCTAVE

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1}
SYMBOL = re.compile(r"([A-G])([#b]?)(.*)")
RELATIVE_MAJOR = 3  # semitones from the tonic of a minor key


def read_key(text: str) -> int:
    """Return the tonic, a pitch class, of a major key such as G, or of the relative of Em.

    Raises ValueError for anything else.
    """
    root, suffix = _root_and_suffix(text)
    if root is None or suffix not in ("", "m"):
        raise ValueError(f"key must be a major or minor key such as G, Bb or F#m; got {text!r}")
    return (root + RELATIVE_MAJOR * (suffix == "m")) % OCTAVE


def read_chords(text: str) -> list[list[int]]:
    """Return the chords of each bar, counted as in `theory`.

    Bars are separated by spaces, the chords of one bar by commas: "G Em,C D". Raises ValueError for
    an unknown chord.
    """
    bars = [[_chord(symbol, text) for symbol in bar.split(",")] for bar in text.split()]
    if not bars:
        raise ValueError(f'chords must be symbols such as "G Em C D"; got {text!r}')
    return bars


def _chord(symbol: str, text: str) -> int:
    root, suffix = _root_and_suffix(symbol)
    kinds = list(CHORD_KINDS)
    if root is None or suffix not in kinds:
        known = ", ".join(f"G{kind}" for kind in kinds)
        raise ValueError(f"chords must be symbols such as {known}; got {symbol!r} in {text!r}")
    return OCTAVE * kinds.index(suffix) + root


def _root_and_suffix(text: str) -> tuple[int | None, str]:
    found = SYMBOL.fullmatch(text.strip())
    if not found:
        return None, text
    return (LETTERS[found[1]] + ACCIDENTALS[found[2]]) % OCTAVE, found[3]
