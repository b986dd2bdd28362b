"""Conversion between songs and piano-rolls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from multigan.music.formats.song import (
    TICKS_PER_QUARTER,
    KeySignature,
    Note,
    Song,
    TimeSignature,
    Track,
)
from multigan.music.representations.voices import DRUM_CLASSES, ROW_OF_DRUM, Voice
from multigan.music.theory import REST

Roll: TypeAlias = tuple[np.ndarray, ...]  # one array per voice


MIDI_PITCHES = 128


class _Span(NamedTuple):
    """A note on the grid."""

    start: int
    end: int
    pitch: int


def to_pianoroll(song: Song, voices: Sequence[Voice], steps_per_quarter: int = 4) -> Roll:
    """Convert a song to one array per voice, as `Voice` describes, from the track of its name.

    A note moves to the nearest step (half a step up) and lasts at least one. A monophonic voice
    cuts a note where the next begins; of notes on one step the longest is kept, then the nearest,
    then the highest. Drums without a row and tracks without a voice are left out.
    Raises ValueError if a track is missing, a pitch is outside the range of its voice, or
    `steps_per_quarter` does not divide 480.
    """
    step = _step_ticks(steps_per_quarter)
    length = -(-song.length_ticks // step)
    return tuple(_KINDS[v.kind].write(song.track(v.name), v, length, step) for v in voices)


def from_pianoroll(
    roll: Sequence[Any],
    voices: Sequence[Voice],
    steps_per_quarter: int = 4,
    *,
    tempo_bpm: float = 100.0,
    time_signatures: tuple[TimeSignature, ...] = (TimeSignature(0, 4, 4),),
    anacrusis_ticks: int = 0,
    key: KeySignature | None = None,
) -> Song:
    """Convert a piano-roll to a song, one track per voice; inverts `to_pianoroll`.

    Raises ValueError if an array is missing, has not the shape of its voice or the length of the
    others, or holds a token outside 0 .. hold.
    """
    step = _step_ticks(steps_per_quarter)
    arrays = [np.asarray(array) for array in roll]
    if len(arrays) != len(voices):
        raise ValueError(
            f"a piano-roll must have {len(voices)} arrays, one per voice; got {len(arrays)}"
        )
    lengths = {_KINDS[v.kind].check(a, v) for a, v in zip(arrays, voices, strict=True)}
    if len(lengths) != 1:
        raise ValueError(f"the arrays must have one length; got {sorted(lengths)} steps")
    tracks = [
        Track(v.name, tuple(_notes(_KINDS[v.kind].read(a, v), step)), v.program, v.kind == "drums")
        for a, v in zip(arrays, voices, strict=True)
    ]
    length = lengths.pop() * step
    return Song(tuple(tracks), length, tempo_bpm, time_signatures, anacrusis_ticks, key)


class GridChanges(NamedTuple):
    """Notes of a song, and how many of them a grid moves or loses.

    A note is lost where another of its voice (of its pitch, if polyphonic) takes its step. No grid
    holds those that are `unplaced`: drums without a row, and notes of a monophonic voice that begin
    with another.
    """

    notes: int = 0
    moved: int = 0
    lost: int = 0
    unplaced: int = 0

    def plus(self, other: GridChanges) -> GridChanges:
        """Return the sum of two counts."""
        return GridChanges(*(a + b for a, b in zip(self, other, strict=True)))


def grid_changes(song: Song, voices: Sequence[Voice], steps_per_quarter: int) -> GridChanges:
    """Count the notes that `to_pianoroll` moves and loses on a grid.

    Raises ValueError if a track is missing or `steps_per_quarter` does not divide 480.
    """
    step = _step_ticks(steps_per_quarter)
    last = -(-song.length_ticks // step) - 1
    total = GridChanges()
    for voice in voices:
        notes = song.track(voice.name).notes
        rows = _ROWS[voice.kind]
        ticks = np.array([note.start_tick for note in notes], np.int64)
        row = rows[np.array([note.pitch_midi for note in notes], np.int64)]  # -1 for none
        places = np.unique(ticks[row >= 0] * MIDI_PITCHES + row[row >= 0])
        steps = np.minimum(_nearest(places // MIDI_PITCHES, step), last)
        cells = np.unique(steps * MIDI_PITCHES + places % MIDI_PITCHES)
        moved = int((ticks % step != 0).sum())
        changes = GridChanges(len(notes), moved, len(places) - len(cells), len(notes) - len(places))
        total = total.plus(changes)
    return total


# Kind of voice -> the row of each pitch among those that one step can hold; -1 for none.
_ROWS = {
    "monophonic": np.zeros(MIDI_PITCHES, np.int64),
    "polyphonic": np.arange(MIDI_PITCHES),
    "drums": np.array([ROW_OF_DRUM.get(pitch, -1) for pitch in range(MIDI_PITCHES)]),
}


def active_pitches(tokens: Any, voice: Voice) -> np.ndarray:
    """Return the MIDI pitch (T,) int16 of a monophonic voice at each step, REST in rests.

    Tokens (..., T) of several sequences give pitches (..., T). Held notes repeat their pitch.
    """
    tokens = np.asarray(tokens)
    steps = np.arange(tokens.shape[-1])
    latest = np.maximum.accumulate(np.where(tokens != voice.hold, steps, -1), axis=-1)
    event = np.take_along_axis(tokens, np.maximum(latest, 0), axis=-1)  # (..., T)
    sounds = (latest >= 0) & (event < voice.rest)
    return np.where(sounds, event + voice.min_pitch, REST).astype(np.int16)


def slice_tokens(tokens: Any, voice: Voice, start: int, stop: int) -> tuple[np.ndarray, bool]:
    """Slice a monophonic voice (T,) from `start` to `stop`; also return whether it begins tied.

    A hold on the first step becomes the pitch that it holds. Then the slice is tied: windows that
    are joined again need no second onset.
    """
    tokens = np.asarray(tokens)
    window = tokens[start:stop].copy()  # (stop - start,)
    if not len(window) or window[0] != voice.hold:
        return window, False
    held = int(active_pitches(tokens[: start + 1], voice)[-1])
    window[0] = voice.rest if held == REST else held - voice.min_pitch
    return window, held != REST


def _step_ticks(steps_per_quarter: int) -> int:
    if steps_per_quarter < 1 or TICKS_PER_QUARTER % steps_per_quarter:
        raise ValueError(
            f"steps_per_quarter must divide {TICKS_PER_QUARTER}, such as 4 or 12; "
            f"got {steps_per_quarter}"
        )
    return TICKS_PER_QUARTER // steps_per_quarter


def _notes(spans: Iterator[_Span], step: int) -> Iterator[Note]:
    return (Note(span.start * step, span.end * step, span.pitch) for span in spans)


def _nearest(tick: Any, step: int) -> Any:
    return (2 * tick + step) // (2 * step)


def _spans(track: Track, voice: Voice, length: int, step: int) -> Iterator[tuple[_Span, Note]]:
    """Yield the notes on the grid, in order, each with its note in ticks."""
    for note in track.notes:
        pitch = note.pitch_midi - voice.min_pitch
        if not 0 <= pitch < voice.num_pitches:
            raise ValueError(
                f"track {track.name!r}: pitches must be {voice.min_pitch}.."
                f"{voice.min_pitch + voice.num_pitches - 1}, the range of the voice; "
                f"got {note.pitch_midi}"
            )
        start = min(_nearest(note.start_tick, step), length - 1)
        yield _Span(start, max(start + 1, _nearest(note.end_tick, step)), pitch), note


def _write_monophonic(track: Track, voice: Voice, length: int, step: int) -> np.ndarray:
    """Return tokens (T,)."""
    chosen: dict[int, tuple[tuple[int, int, int], _Span]] = {}
    for span, note in _spans(track, voice, length, step):
        distance = abs(note.start_tick - span.start * step)
        rank = (note.end_tick - note.start_tick, -distance, span.pitch)
        if span.start not in chosen or rank > chosen[span.start][0]:
            chosen[span.start] = rank, span
    tokens = np.full(length, voice.rest, np.int16)
    for start, following in pairwise([*sorted(chosen), length]):
        span = chosen[start][1]
        tokens[start : min(span.end, following)] = voice.hold
        tokens[start] = span.pitch
    return tokens


def _read_monophonic(tokens: np.ndarray, voice: Voice) -> Iterator[_Span]:
    events = [*np.flatnonzero(tokens != voice.hold).tolist(), len(tokens)]
    for start, end in pairwise(events):
        if tokens[start] < voice.rest:
            yield _Span(start, end, int(tokens[start]) + voice.min_pitch)


def _check_monophonic(tokens: np.ndarray, voice: Voice) -> int:
    """Return the number of steps; raise ValueError for another form."""
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError(f"voice {voice.name!r} must be (steps,) of integers; got {_form(tokens)}")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() <= voice.hold:
        raise ValueError(
            f"voice {voice.name!r}: tokens must be 0..{voice.hold}; "
            f"got {tokens.min()}..{tokens.max()}"
        )
    return len(tokens)


def _write_polyphonic(track: Track, voice: Voice, length: int, step: int) -> np.ndarray:
    """Return onset and sustain planes (2, T, P)."""
    planes = np.zeros((2, length, voice.num_pitches), bool)
    for span, _ in _spans(track, voice, length, step):
        planes[0, span.start, span.pitch] = True
        planes[1, span.start, span.pitch] = False
        planes[1, span.start + 1 : span.end, span.pitch] = True
    return planes


def _read_polyphonic(planes: np.ndarray, voice: Voice) -> Iterator[_Span]:
    onset, sustain = planes.astype(bool)
    for start, pitch in np.argwhere(onset).tolist():
        goes_on = sustain[start + 1 :, pitch] & ~onset[start + 1 :, pitch]
        held = len(goes_on) if goes_on.all() else int(goes_on.argmin())
        yield _Span(start, start + 1 + held, pitch + voice.min_pitch)


def _check_polyphonic(planes: np.ndarray, voice: Voice) -> int:
    """Return the number of steps; raise ValueError for another form."""
    if planes.ndim != 3 or planes.shape[0] != 2 or planes.shape[2] != voice.num_pitches:
        raise ValueError(
            f"voice {voice.name!r} must be (2, steps, {voice.num_pitches}); got {_form(planes)}"
        )
    return planes.shape[1]


def _write_drums(track: Track, voice: Voice, length: int, step: int) -> np.ndarray:
    """Return onsets (T, 9)."""
    onsets = np.zeros((length, len(DRUM_CLASSES)), bool)
    for note in track.notes:
        if note.pitch_midi in ROW_OF_DRUM:
            start = min(_nearest(note.start_tick, step), length - 1)
            onsets[start, ROW_OF_DRUM[note.pitch_midi]] = True
    return onsets


def _read_drums(onsets: np.ndarray, voice: Voice) -> Iterator[_Span]:
    pitches = list(DRUM_CLASSES.values())
    for start, row in np.argwhere(onsets).tolist():
        yield _Span(start, start + 1, pitches[row])


def _check_drums(onsets: np.ndarray, voice: Voice) -> int:
    """Return the number of steps; raise ValueError for another form."""
    if onsets.ndim != 2 or onsets.shape[1] != len(DRUM_CLASSES):
        raise ValueError(
            f"voice {voice.name!r} must be (steps, {len(DRUM_CLASSES)}); got {_form(onsets)}"
        )
    return len(onsets)


def _form(array: np.ndarray) -> str:
    return f"an array {array.shape} of {array.dtype}"


class _Kind(NamedTuple):
    """Conversion to and from arrays, and their check, for one kind of voice."""

    write: Any
    read: Any
    check: Any


_KINDS = {
    "monophonic": _Kind(_write_monophonic, _read_monophonic, _check_monophonic),
    "polyphonic": _Kind(_write_polyphonic, _read_polyphonic, _check_polyphonic),
    "drums": _Kind(_write_drums, _read_drums, _check_drums),
}
