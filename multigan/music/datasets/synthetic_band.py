"""A band by rule: bass, drums, chords and lead over given chords, one chord to a bar of eighths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch

from multigan.music.datasets.chord_progressions import Chord, bernoulli, choose, scale
from multigan.music.formats.song import TICKS_PER_QUARTER, KeySignature, Note, TimeSignature, Track
from multigan.music.representations.voices import BAND, DRUM_CLASSES
from multigan.music.theory import OCTAVE

EIGHTH = TICKS_PER_QUARTER // 2
PHRASE_BARS = 4  # the last bar of each has a fill on the drums
MOTIF_BARS = 2  # the lead's rhythm comes back after as many
BASS_HOME, LEAD_HOME = 40, 72  # MIDI pitches that bass and lead stay near to
LEAD_RANGE = (60, 84)
TIE = 0.5  # the chance that a chord is held over the bar line where it does not change

Rhythm = tuple[tuple[int, int], ...]  # (start, end) in eighths of the bar; gaps are rests

# Tables by eighths in a bar: 8 in 4/4, 6 in 3/4.
BASS: dict[int, tuple[tuple[int, int, str], ...]] = {
    8: ((0, 3, "root"), (3, 4, "root"), (4, 8, "fifth")),
    6: ((0, 4, "root"), (4, 6, "third")),
}
CHORDS: dict[int, tuple[Rhythm, ...]] = {
    8: (((0, 8),), ((0, 3), (3, 8)), ((0, 4), (4, 8))),
    6: (((0, 6),), ((2, 4), (4, 6))),
}
LEAD: dict[int, tuple[Rhythm, ...]] = {
    8: (((0, 2), (2, 3), (3, 4), (4, 8)), ((1, 2), (2, 4), (4, 6), (7, 8))),
    6: (((0, 2), (2, 3), (3, 4), (4, 6)), ((1, 2), (2, 4))),
}
DRUMS: dict[int, dict[str, str]] = {
    8: {"kick": "x...x...", "snare": "..x...x.", "closed hat": "xxxxxxxx"},
    6: {"kick": "x.....", "snare": "..x.x.", "ride": "x.x.x."},
}
FILL: dict[int, dict[str, str]] = {
    8: {"kick": "x...x...", "snare": "..x.xx..", "high tom": "......x.", "low tom": ".......x"},
    6: {"kick": "x.....", "snare": "..xx..", "high tom": "....x.", "low tom": ".....x"},
}


def generate_band(
    key: KeySignature, chords: Sequence[Chord], signature: TimeSignature, rng: torch.Generator
) -> list[Track]:
    """The four tracks of `roll.BAND`, in its order, over one chord for each bar."""
    eighths = signature.bar_ticks // EIGHTH
    parts = (
        _bass(chords, eighths),
        _drums(chords, eighths),
        _chords(chords, eighths, rng),
        _lead(key, chords, eighths, rng),
    )
    return [
        Track(voice.name, tuple(notes), voice.program, voice.kind == "drums")
        for voice, notes in zip(BAND, parts, strict=True)
    ]


def _bass(chords: Sequence[Chord], eighths: int) -> list[Note]:
    """One pattern on the tones of each chord; the last bar is held."""
    *inner, last = chords
    notes = [
        _note(chord, start, end, _near(BASS_HOME, (getattr(chord, tone),)))
        for chord in inner
        for start, end, tone in BASS[eighths]
    ]
    return [*notes, _note(last, 0, eighths, _near(BASS_HOME, (last.root,)))]


def _drums(chords: Sequence[Chord], eighths: int) -> list[Note]:
    """One pattern, a fill at the end of each phrase, a crash after it."""
    notes = []
    for bar, chord in enumerate(chords):
        fills = bar % PHRASE_BARS == PHRASE_BARS - 1
        hits = FILL[eighths] if fills else DRUMS[eighths]
        notes += [
            _note(chord, k, k + 1, DRUM_CLASSES[row])
            for row, line in hits.items()
            for k, sign in enumerate(line)
            if sign == "x"
        ]
        if bar % PHRASE_BARS == 0:
            notes.append(_note(chord, 0, 1, DRUM_CLASSES["crash"]))
    return notes


def _chords(chords: Sequence[Chord], eighths: int, rng: torch.Generator) -> list[Note]:
    """Close triads near middle C in one rhythm; held over some bar lines without a change."""
    rhythm = choose(CHORDS[eighths], rng)
    notes: list[Note] = []
    for before, chord in zip((None, *chords[:-1]), chords, strict=True):
        pitches = [_near(60, (tone,)) for tone in chord.tones]
        begun = [_note(chord, *span, pitch) for span, pitch in product(rhythm, pitches)]
        same = before is not None and before.tones == chord.tones
        if same and rhythm[0][0] == 0 and rhythm[-1][1] == eighths and bernoulli(TIE, rng):
            longer = [
                n._replace(end_tick=s.end_tick) for n, s in zip(notes[-3:], begun[:3], strict=True)
            ]
            notes, begun = [*notes[:-3], *longer], begun[3:]
        notes += begun
    return notes


def _lead(
    key: KeySignature, chords: Sequence[Chord], eighths: int, rng: torch.Generator
) -> list[Note]:
    """A melody: chord tones on the beats, and steps between them."""
    motif = [choose(LEAD[eighths], rng) for _ in range(MOTIF_BARS)]
    pitch, notes = _near(LEAD_HOME, chords[0].tones), []
    for bar, chord in enumerate(chords[:-1]):
        allowed = scale(key, chord)
        for start, end in motif[bar % MOTIF_BARS]:
            tones = frozenset(chord.tones) if start % 2 == 0 else allowed
            pitch = _step(pitch, tones, bernoulli(0.5, rng))
            notes.append(_note(chord, start, end, pitch))
    return [*notes, _note(chords[-1], 0, eighths, _near(pitch, (key.tonic,)))]


def _step(pitch: int, tones: frozenset[int], upwards: bool) -> int:
    """The next of the pitch classes above or below, turning back at the ends of the range."""
    low, high = LEAD_RANGE
    above = next(p for p in range(pitch + 1, pitch + OCTAVE + 1) if p % OCTAVE in tones)
    below = next(p for p in range(pitch - 1, pitch - OCTAVE - 1, -1) if p % OCTAVE in tones)
    return above if below < low or (upwards and above <= high) else below


def _near(home: int, tones: Sequence[int]) -> int:
    """The pitch of one of the pitch classes that is nearest to `home`, the lower of two."""
    nearby = range(home - OCTAVE // 2, home + OCTAVE // 2 + 1)
    return min((p for p in nearby if p % OCTAVE in tones), key=lambda p: abs(p - home))


def _note(chord: Chord, start: int, end: int, pitch: int) -> Note:
    """A note given in eighths of the chord's bar."""
    return Note(chord.start_tick + start * EIGHTH, chord.start_tick + end * EIGHTH, pitch)
