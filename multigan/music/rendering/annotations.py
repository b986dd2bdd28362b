"""Chords and sections of a song, found from its notes: annotations of rolls and scores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch

from multigan.music.formats.song import Song
from multigan.music.models.harmonic_plan import LIKENESS, chord_labels
from multigan.music.theory import CHORD_KINDS, NO_CHORD, OCTAVE

SECTION_BARS = 4
ROOT_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Cell = tuple[int, str, int]  # tick within a section, track and pitch of an onset


def song_chords(song: Song) -> Iterator[tuple[int, int]]:
    """Yield (tick, chord as counted in `theory`) of each half bar whose chord is another."""
    before = NO_CHORD
    notes = [note for track in song.tracks if not track.is_drum for note in track.notes]
    for start, end in _half_bars(song):
        chroma, bass = torch.zeros(OCTAVE), torch.zeros(OCTAVE)
        sounding = [n for n in notes if n.start_tick < end and n.end_tick > start]
        for note in sounding:
            ticks = min(note.end_tick, end) - max(note.start_tick, start)
            chroma[note.pitch_midi % OCTAVE] += ticks
        if sounding:
            lowest = min(sounding, key=lambda note: note.pitch_midi)
            bass[lowest.pitch_midi % OCTAVE] = 1
        chord = int(chord_labels(chroma, bass))
        if chord not in (NO_CHORD, before):
            yield start, chord
            before = chord


def song_edges(song: Song) -> list[int]:
    """Return the ticks of all bar lines, the start and the end of a song."""
    return sorted({0, *song.bar_lines(), song.length_ticks})


def _half_bars(song: Song) -> Iterator[tuple[int, int]]:
    edges = song_edges(song)
    for start, end in pairwise(edges):
        middle = start + (end - start) // 2
        yield from ((start, middle), (middle, end))


def chord_name(chord: int) -> str:
    """Return the symbol of a chord as counted in `theory`, such as Bbm7; nothing for none."""
    if chord == NO_CHORD:
        return ""
    return ROOT_NAMES[chord % OCTAVE] + list(CHORD_KINDS)[chord // OCTAVE]


def song_sections(song: Song) -> list[tuple[int, str]]:
    """Return (tick, letter) of each section of SECTION_BARS bars; like sections share a letter.

    Two are alike if the Jaccard index of their onsets is LIKENESS or more. A song of one section
    has none.
    """
    lines = [*song.bar_lines(), song.length_ticks]
    starts = lines[:-1:SECTION_BARS]
    if len(starts) < 2:
        return []
    known: list[set[Cell]] = []
    found = []
    for start, end in pairwise([*starts, song.length_ticks]):
        cells = _onsets(song, start, end)
        likeness = [_jaccard(cells, earlier) for earlier in known]
        letter = max(range(len(known)), key=likeness.__getitem__, default=0)
        if not known or likeness[letter] < LIKENESS:
            letter = len(known)
            known.append(cells)
        found.append((start, _letter(letter)))
    return found


def _letter(number: int) -> str:
    """Return A to Z, then A1, B1 and so on."""
    again, letter = divmod(number, len(LETTERS))
    return LETTERS[letter] + (str(again) if again else "")


def _onsets(song: Song, start: int, end: int) -> set[Cell]:
    return {
        (note.start_tick - start, track.name, note.pitch_midi)
        for track in song.tracks
        for note in track.notes
        if start <= note.start_tick < end
    }


def _jaccard(one: set[Cell], other: set[Cell]) -> float:
    return len(one & other) / max(1, len(one | other))
