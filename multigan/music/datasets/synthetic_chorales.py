"""Songs by rule, with known key and chords: truth for tests, and data where nothing is installed.

Laws of every song: the notes belong to its key; what begins on a beat belongs to the chord in
force; the four voices never cross and never move in parallel fifths or octaves from chord to
chord. Repeated notes, notes held over bar lines and rests all occur.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import NamedTuple

import torch

from multigan.music.datasets.chord_progressions import (
    Chord,
    bernoulli,
    choose,
    sample_key_signature,
    sample_progression,
    scale,
)
from multigan.music.datasets.synthetic_band import generate_band
from multigan.music.formats.song import TICKS_PER_QUARTER as BEAT
from multigan.music.formats.song import KeySignature, Note, Song, TimeSignature, Track
from multigan.music.representations.voices import SATB
from multigan.music.theory import OCTAVE, PERFECT_INTERVALS

TIME_SIGNATURES = {"4/4": TimeSignature(0, 4, 4), "3/4": TimeSignature(0, 3, 4)}
PHRASE_BARS = 4  # the singers may breathe after each
TEMPOS_BPM = range(72, 133, 4)

RANGES = ((60, 79), (55, 72), (48, 67), (40, 60))  # S A T B, lowest and highest MIDI pitch
WIDEST_GAP = 12  # semitones between soprano and alto, alto and tenor
LIKELY_VOICINGS = 3  # the next chord is sampled from as many of the smoothest ones
FIRST_VOICING = (67, 62, 57, 48)  # what the first chord is near to
REPEAT, PASS, TIE, BREATHE = 0.3, 0.6, 0.5, 0.5  # the chances of what a singer may do

Voicing = tuple[int, int, int, int]  # MIDI pitches, S A T B


@dataclass(frozen=True)
class Composition:
    """A song and the chords that its notes were made from, in order and without gaps."""

    song: Song
    chords: tuple[Chord, ...]


def generate_songs(
    preset: str, n: int, rng: torch.Generator, *, bars: int = 8, time_signature: str = "4/4"
) -> list[Composition]:
    """Sample `n` songs: "satb" for four voices, "band" for bass, drums, chords and lead.

    Their tracks fit `TRACK_LAYOUTS[preset]` at 2 or more steps per quarter (multiples of 2).
    Raises ValueError, listing the known ones, for another preset or metre, or for less than 2 bars.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    if time_signature not in TIME_SIGNATURES:
        raise ValueError(
            f"time_signature must be one of: {', '.join(TIME_SIGNATURES)}; got {time_signature!r}"
        )
    if bars < 2:
        raise ValueError(f"bars must be 2 or more, for a cadence; got {bars}")
    return [_compose(preset, rng, bars, TIME_SIGNATURES[time_signature]) for _ in range(n)]


def _compose(preset: str, rng: torch.Generator, bars: int, signature: TimeSignature) -> Composition:
    key, length = sample_key_signature(rng), bars * signature.bar_ticks
    chord_ticks = PRESETS[preset].chord_ticks(signature)
    chords = sample_progression(key, range(0, length + 1, chord_ticks), rng)
    tracks = PRESETS[preset].play(key, chords, signature, rng)
    tempo = float(choose(TEMPOS_BPM, rng))
    return Composition(Song(tuple(tracks), length, tempo, (signature,), key=key), tuple(chords))


def harmonize(
    key: KeySignature, chords: Sequence[Chord], signature: TimeSignature, rng: torch.Generator
) -> list[Track]:
    """The four voices of a chorale over the chords."""
    voicings = sample_voicings(chords, rng)
    lines: list[list[Note]] = [[] for _ in SATB]
    for index, chord in enumerate(chords[:-1]):
        now, following = voicings[index], voicings[index + 1]
        moving = choose(range(len(SATB)), rng)  # one voice at a time: two could cross
        for voice, line in enumerate(lines):
            passing = _between(now[voice], following[voice], scale(key, chord))
            passing = passing if voice == moving and bernoulli(PASS, rng) else None
            breathes = chord.end_tick % (PHRASE_BARS * signature.bar_ticks) == 0
            end = chord.end_tick - BEAT * (breathes and bernoulli(BREATHE, rng))
            line += _notes_of(chord.start_tick, end, now[voice], bernoulli(REPEAT, rng))
            if passing is not None and end == chord.end_tick:
                line[-1] = line[-1]._replace(end_tick=end - BEAT // 2)
                line.append(Note(end - BEAT // 2, end, passing))
    for voice, line in enumerate(lines):
        line.append(Note(chords[-1].start_tick, chords[-1].end_tick, voicings[-1][voice]))
    return [
        Track(voice.name, tuple(_tied(line, rng)), voice.program)
        for voice, line in zip(SATB, lines, strict=True)
    ]


def _notes_of(start: int, end: int, pitch: int, repeats: bool) -> list[Note]:
    """One note, or one on each beat."""
    length = BEAT if repeats else end - start
    return [Note(tick, tick + length, pitch) for tick in range(start, end, length)]


def _between(pitch: int, following: int, allowed: frozenset[int]) -> int | None:
    """The note of the scale inside a leap of a third, if it is one."""
    low, high = sorted((pitch, following))
    inside = [p for p in range(low + 1, high) if p % OCTAVE in allowed]
    return inside[0] if high - low in (3, 4) and inside else None


def _tied(line: Sequence[Note], rng: torch.Generator) -> list[Note]:
    """The line with some of its repeated notes joined, over bar lines too."""
    joined = [line[0]]
    for note in line[1:]:
        before = joined[-1]
        repeats = before.pitch_midi == note.pitch_midi and before.end_tick == note.start_tick
        if repeats and bernoulli(TIE, rng):
            joined[-1] = before._replace(end_tick=note.end_tick)
        else:
            joined.append(note)
    return joined


def sample_voicings(chords: Sequence[Chord], rng: torch.Generator) -> list[Voicing]:
    """Smooth voicings without parallels; the first and the last chord stand on their root."""
    chosen: list[Voicing] = []
    for index, chord in enumerate(chords):
        options = [
            voicing
            for voicing in _voicings(chord.tones)
            if (0 < index < len(chords) - 1 or voicing[3] % OCTAVE == chord.root)
            and not (chosen and _moves_in_parallel(chosen[-1], voicing))
        ]
        before = chosen[-1] if chosen else FIRST_VOICING
        options.sort(
            key=lambda voicing: sum(abs(a - b) for a, b in zip(before, voicing, strict=True))
        )
        chosen.append(choose(options[:LIKELY_VOICINGS], rng))
    return chosen


@lru_cache
def _voicings(tones: tuple[int, int, int]) -> list[Voicing]:
    """Every complete one within the ranges that does not cross; root or third in the bass."""
    pitches = [
        [pitch for pitch in range(low, high + 1) if pitch % OCTAVE in tones] for low, high in RANGES
    ]
    return [
        (s, a, t, b)
        for s, a, t, b in product(*pitches)
        if s > a > t > b
        and max(s - a, a - t) <= WIDEST_GAP
        and b % OCTAVE != tones[2]
        and {s % OCTAVE, a % OCTAVE, t % OCTAVE, b % OCTAVE} == set(tones)
        and sum(pitch % OCTAVE == tones[1] for pitch in (s, a, t, b)) == 1
    ]


def _moves_in_parallel(before: Voicing, after: Voicing) -> bool:
    """True if two voices move from one fifth, octave or unison to another of the same kind."""
    return any(
        before[i] != after[i]
        and (before[i] - before[j]) % OCTAVE == (after[i] - after[j]) % OCTAVE
        and (after[i] - after[j]) % OCTAVE in PERFECT_INTERVALS
        for i, j in combinations(range(4), 2)
    )


class _Preset(NamedTuple):
    """Rate of chord changes, and the voices that play them."""

    chord_ticks: Callable[[TimeSignature], int]
    play: Callable[[KeySignature, Sequence[Chord], TimeSignature, torch.Generator], list[Track]]


def _half_bars(signature: TimeSignature) -> int:
    """Two chords in a bar of 4/4, one in a bar of 3/4."""
    return signature.bar_ticks // 2 if signature.counts % 2 == 0 else signature.bar_ticks


PRESETS = {
    "satb": _Preset(_half_bars, harmonize),
    "band": _Preset(lambda signature: signature.bar_ticks, generate_band),
}
