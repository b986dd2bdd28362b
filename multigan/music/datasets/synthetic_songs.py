"""Songs by rule, with known key and chords: truth for tests, and data where nothing is installed.

Laws of every song: the notes belong to its key; what begins on a beat belongs to the chord in
force; the four voices of a chorale never cross and never move in parallel fifths or octaves from
chord to chord. Repeated notes, notes held over bar lines and rests all occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, product
from typing import NamedTuple, TypeVar

import torch

from multigan.music.formats.song import TICKS_PER_QUARTER as BEAT
from multigan.music.formats.song import KeySignature, Note, Song, TimeSignature, Track
from multigan.music.representations.voices import DRUM_CLASSES, SATB, TRACK_LAYOUTS
from multigan.music.theory import MAJOR, NATURAL_MINOR, OCTAVE, PERFECT_INTERVALS

T = TypeVar("T")
Voicing = tuple[int, int, int, int]  # MIDI pitches, S A T B
Lines = dict[str, list[Note]]  # the notes of each part

TIME_SIGNATURES = {"4/4": TimeSignature(0, 4, 4), "3/4": TimeSignature(0, 3, 4)}
TEMPOS_BPM = range(72, 133, 4)
PHRASE_BARS = 4  # a voice may rest after each
# Degree of the scale (0 is the tonic) -> the degrees that may follow.
FOLLOWERS = {
    False: {0: (1, 3, 4, 5), 1: (4,), 3: (0, 1, 4), 4: (0, 5), 5: (1, 3, 4)},  # major
    True: {0: (3, 4, 5), 3: (0, 4), 4: (0, 5), 5: (3, 4)},  # minor: its ii is diminished
}
RANGES = ((60, 79), (55, 72), (48, 67), (40, 60))  # S A T B, lowest and highest MIDI pitch
MAX_GAP = 12  # semitones between soprano and alto, alto and tenor
LIKELY_VOICINGS = 3  # the next chord is sampled from as many of the smoothest ones
FIRST_VOICING = (67, 62, 57, 48)  # what the first chord is near to
STAY = 0.2  # the probability that a chord lasts for another slot
REPEAT, PASS, TIE, REST = 0.3, 0.6, 0.5, 0.5  # the probabilities of what a voice may do
DRUM_BEATS = {"kick": (0,), "snare": (2,), "closed hat": (0, 1, 2, 3)}  # of each bar
LOWEST_TRIAD = 54  # lowest MIDI pitch of the triads of an accompaniment
# Layout -> the parts that each of its voices plays.
ARRANGEMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "satb": {voice.name: (voice.name,) for voice in SATB},
    "band": {"bass": ("low bass",), "drums": ("drums",), "chords": ("triads",),
             "lead": ("soprano",)},
    "melody+chords": {"melody": ("soprano",), "chords": ("triads",)},
    "melody+piano": {"melody": ("soprano",), "piano": ("triads", "low bass")},
}  # fmt: skip


class Chord(NamedTuple):
    """A triad, as pitch classes from its root, and when it is in force."""

    start_tick: int
    end_tick: int
    tones: tuple[int, int, int]


class Composition(NamedTuple):
    """A song and the chords that its notes were made from, in order and without gaps."""

    song: Song
    chords: tuple[Chord, ...]


def generate_songs(
    layout: str, n: int, rng: torch.Generator, *, bars: int = 8, time_signature: str = "4/4"
) -> list[Composition]:
    """Sample `n` chorales: "satb", or arranged for another layout of ARRANGEMENTS.

    They fit the layout at 2 or more steps per quarter (multiples of 2). Raises ValueError, listing
    the known ones, for another layout or time signature, or for less than 2 bars.
    """
    if layout not in ARRANGEMENTS:
        raise ValueError(f"layout must be one of {', '.join(ARRANGEMENTS)}; got {layout!r}")
    if time_signature not in TIME_SIGNATURES:
        known = ", ".join(TIME_SIGNATURES)
        raise ValueError(f"time_signature must be one of {known}; got {time_signature!r}")
    if bars < 2:
        raise ValueError(f"bars must be 2 or more, for a cadence; got {bars}")
    return [_compose(layout, rng, bars, TIME_SIGNATURES[time_signature]) for _ in range(n)]


def _compose(layout: str, rng: torch.Generator, bars: int, signature: TimeSignature) -> Composition:
    key = KeySignature(_choose(range(OCTAVE), rng), _bernoulli(0.5, rng))
    bar_ticks, length = signature.bar_ticks, bars * signature.bar_ticks
    chord_ticks = bar_ticks // 2 if signature.counts % 2 == 0 else bar_ticks
    chords = _sample_progression(key, range(0, length + 1, chord_ticks), rng)
    lines = _harmonize(key, chords, bar_ticks, rng)
    lines["low bass"] = [n._replace(pitch_midi=n.pitch_midi - OCTAVE) for n in lines["bass"]]
    lines["triads"] = [
        Note(chord.start_tick, chord.end_tick, LOWEST_TRIAD + (tone - LOWEST_TRIAD) % OCTAVE)
        for chord in chords
        for tone in chord.tones
    ]
    lines["drums"] = [
        Note(tick, tick + BEAT // 2, DRUM_CLASSES[row])
        for row, beats in DRUM_BEATS.items()
        for tick in range(0, length, BEAT)
        if tick % bar_ticks // BEAT in beats
    ]
    tracks = []
    for voice in TRACK_LAYOUTS[layout]:
        notes = [note for part in ARRANGEMENTS[layout][voice.name] for note in lines[part]]
        tracks.append(Track(voice.name, tuple(notes), voice.program, voice.kind == "drums"))
    tempo_bpm = float(_choose(TEMPOS_BPM, rng))
    return Composition(Song(tuple(tracks), length, tempo_bpm, (signature,), key=key), tuple(chords))


def _sample_progression(
    key: KeySignature, edges: Sequence[int], rng: torch.Generator
) -> list[Chord]:
    """Sample a chord from each tick of `edges` to the next: from the tonic to a cadence."""
    degrees = [0]
    while len(degrees) < len(edges) - 3:
        stays = _bernoulli(STAY, rng)
        degrees.append(degrees[-1] if stays else _choose(FOLLOWERS[key.minor][degrees[-1]], rng))
    degrees = [*degrees, 4, 0][-(len(edges) - 1) :]
    slots = zip(edges[:-1], edges[1:], degrees, strict=True)
    return [Chord(start, end, triad(key, degree)) for start, end, degree in slots]


def triad(key: KeySignature, degree: int) -> tuple[int, int, int]:
    """The pitch classes on a degree of the scale; the dominant is major in minor keys too."""
    steps = _steps(key, leading=degree == 4)
    root, third, fifth = ((key.tonic + steps[(degree + k) % 7]) % OCTAVE for k in (0, 2, 4))
    return root, third, fifth


def scale(key: KeySignature, chord: Chord) -> frozenset[int]:
    """The pitch classes of the key; its seventh is raised over the dominant of a minor key."""
    steps = _steps(key, leading=(key.tonic - 1) % OCTAVE in chord.tones)
    return frozenset((key.tonic + step) % OCTAVE for step in steps)


def _steps(key: KeySignature, leading: bool) -> tuple[int, ...]:
    """Semitones of the scale above the tonic."""
    if not key.minor:
        return MAJOR
    return (*NATURAL_MINOR[:-1], 11) if leading else NATURAL_MINOR


def _harmonize(
    key: KeySignature, chords: Sequence[Chord], bar_ticks: int, rng: torch.Generator
) -> Lines:
    """The four voices of a chorale over the chords."""
    voicings = _sample_voicings(chords, rng)
    lines: list[list[Note]] = [[] for _ in SATB]
    for chord, now, following in zip(chords, voicings, voicings[1:], strict=False):
        moving = _choose(range(len(SATB)), rng)  # one voice at a time: two could cross
        for voice, line in enumerate(lines):
            passes = voice == moving and _bernoulli(PASS, rng)
            passing = _between(now[voice], following[voice], scale(key, chord)) if passes else None
            ends_phrase = chord.end_tick % (PHRASE_BARS * bar_ticks) == 0
            rests = ends_phrase and _bernoulli(REST, rng)
            end = chord.end_tick - BEAT * rests
            length = BEAT if _bernoulli(REPEAT, rng) else end - chord.start_tick
            starts = range(chord.start_tick, end, length)
            line += [Note(start, start + length, now[voice]) for start in starts]
            if passing is not None and not rests:
                line[-1] = line[-1]._replace(end_tick=end - BEAT // 2)
                line.append(Note(end - BEAT // 2, end, passing))
    for line, pitch in zip(lines, voicings[-1], strict=True):
        line.append(Note(chords[-1].start_tick, chords[-1].end_tick, pitch))
    return {voice.name: _tied(line, rng) for voice, line in zip(SATB, lines, strict=True)}


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
        if repeats and _bernoulli(TIE, rng):
            joined[-1] = before._replace(end_tick=note.end_tick)
        else:
            joined.append(note)
    return joined


def _sample_voicings(chords: Sequence[Chord], rng: torch.Generator) -> list[Voicing]:
    """Smooth voicings without parallels; the first and the last chord stand on their root."""
    chosen: list[Voicing] = []
    for index, chord in enumerate(chords):
        options = [
            voicing
            for voicing in _voicings(chord.tones)
            if (0 < index < len(chords) - 1 or voicing[3] % OCTAVE == chord.tones[0])
            and not (chosen and _moves_in_parallel(chosen[-1], voicing))
        ]
        before = chosen[-1] if chosen else FIRST_VOICING
        options.sort(key=lambda v: sum(abs(a - b) for a, b in zip(before, v, strict=True)))
        chosen.append(_choose(options[:LIKELY_VOICINGS], rng))
    return chosen


@lru_cache
def _voicings(tones: tuple[int, int, int]) -> list[Voicing]:
    """Every complete voicing within the ranges that does not cross; root or third in the bass."""
    pitches = [[p for p in range(low, high + 1) if p % OCTAVE in tones] for low, high in RANGES]
    return [
        (s, a, t, b)
        for s, a, t, b in product(*pitches)
        if s > a > t > b
        and max(s - a, a - t) <= MAX_GAP
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


def _choose(options: Sequence[T], rng: torch.Generator) -> T:
    """One of the options, all equally likely."""
    return options[int(torch.randint(len(options), (), generator=rng))]


def _bernoulli(probability: float, rng: torch.Generator) -> bool:
    """True with this probability."""
    return float(torch.rand((), generator=rng)) < probability
