"""Assignment of the notes of a polyphonic voice to monophonic lines."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from multigan.music.representations.voices import Voice

CROSSING_COST = 12.0  # semitones: of a note on the wrong side of one that is held
TREND = 0.4  # weight of the latest note in the register of a line


class _Note(NamedTuple):
    start: int
    end: int
    row: int


def split_lines(planes: np.ndarray, voice: Voice) -> np.ndarray:
    """Return the tokens (T, lines) of onset and sustain planes (2, T, P).

    Notes that begin together keep their order: the highest line comes first. Each goes where it is
    nearest to the register of a line and crosses no held note. A note that finds all lines held
    ends the one that began first; of more notes than lines the inner ones are left out.
    """
    tokens = np.full((planes.shape[1], voice.lines), voice.rest, np.int16)
    notes = _notes(planes)
    registers = list(np.linspace(0.75, 0.25, voice.lines) * voice.num_pitches)
    playing: list[_Note | None] = [None] * voice.lines
    ends = [0] * voice.lines
    for start in sorted(notes):
        begun = _outer(notes[start], voice.lines)
        held = [note if note and note.end > start else None for note in playing]
        while held.count(None) < len(begun):
            first = min(filter(None, held), key=lambda note: (note.start, note.end))
            held[held.index(first)] = None
        for line, note in zip(_lines(begun, held, registers), begun, strict=True):
            tokens[note.start : note.end, line] = voice.hold
            tokens[note.end : ends[line], line] = voice.rest  # of a longer note before
            tokens[note.start, line] = note.row
            ends[line] = note.end
            registers[line] += TREND * (note.row - registers[line])
            held[line] = note
        playing = held
    return tokens


def _notes(planes: np.ndarray) -> dict[int, list[_Note]]:
    """Return the notes by their first step, the highest first."""
    onset, sustain = planes.astype(bool)
    goes_on = np.vstack([sustain & ~onset, np.zeros((1, onset.shape[1]), bool)])
    found: dict[int, list[_Note]] = {}
    for row in range(onset.shape[1] - 1, -1, -1):
        ends = np.flatnonzero(~goes_on[:, row])
        starts = np.flatnonzero(onset[:, row])
        for start, end in zip(starts.tolist(), ends[np.searchsorted(ends, starts + 1)].tolist(),
                              strict=True):  # fmt: skip
            found.setdefault(start, []).append(_Note(start, end, row))
    return found


def _outer(notes: list[_Note], count: int) -> list[_Note]:
    """Return at most `count` notes: the outer ones."""
    return notes if len(notes) <= count else [*notes[: count - 1], notes[-1]]


def _lines(notes: list[_Note], held: list[_Note | None], registers: list[float]) -> tuple[int, ...]:
    """Return the free lines, in ascending order, of notes in descending order."""
    free = [line for line, note in enumerate(held) if note is None]
    if len(free) == len(notes):
        return tuple(free)
    others = [(line, note.row) for line, note in enumerate(held) if note]
    costs = [[_cost(line, note.row, registers[line], others) for line in free] for note in notes]
    chosen = min(
        combinations(range(len(free)), len(notes)),
        key=lambda places: sum(cost[place] for cost, place in zip(costs, places, strict=True)),
    )
    return tuple(free[place] for place in chosen)


def _cost(line: int, row: int, register: float, held: list[tuple[int, int]]) -> float:
    crossed = 0
    for at, other in held:
        crossed += (line < at) != (row > other)
    return abs(row - register) + CROSSING_COST * crossed
