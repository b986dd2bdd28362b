"""Swung eighths: the second eighth of a beat begins after its middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from multigan.music.formats.song import (
    TICKS_PER_QUARTER,
    CompletedSong,
    GivenSpan,
    Note,
    Song,
    TempoChange,
    Track,
)

STRAIGHT, MAX_SWING = 0.5, 0.8  # of a beat: where its second eighth begins


def with_swing(song: Song, swing: float, before: float = STRAIGHT) -> Song:
    """Return the song with the second eighth of each beat `swing` of a beat after the first.

    It stands at `before` of a beat in `song`. Both halves of a beat are stretched evenly, so that
    beats and bar lines stay. Tempo changes and the end of the song move as notes do.
    """
    if swing == before:
        return song
    phase = song.anacrusis_ticks % TICKS_PER_QUARTER
    later = partial(_later, swing=swing, before=before, phase=phase)
    tempos = {later(tick): tempo for tick, tempo in song.tempo_changes}
    tracks = tuple(_swung(track, later) for track in song.tracks)
    ends = (later(song.length_ticks), *(track.end_tick for track in tracks))
    swung = replace(
        song,
        tracks=tracks,
        length_ticks=max(ends),
        time_signatures=tuple(
            m._replace(start_tick=m.start_tick and later(m.start_tick))
            for m in song.time_signatures
        ),
        tempo_changes=tuple(TempoChange(tick, tempo) for tick, tempo in tempos.items()),
    )
    if not isinstance(swung, CompletedSong):
        return swung
    spans = (GivenSpan(track, later(start), later(end)) for track, start, end in swung.given)
    return replace(swung, given=tuple(spans))


def _swung(track: Track, later: Callable[[int], int]) -> Track:
    notes = tuple(
        Note(start, max(start + 1, later(note.end_tick)), *note[2:])
        for note in track.notes
        for start in [later(note.start_tick)]
    )
    pedal = tuple((later(a), later(b)) for a, b in track.pedal)
    return replace(track, notes=notes, pedal=pedal)


def _later(tick: int, swing: float, before: float, phase: int) -> int:
    """Return the swung tick; `phase` is that of the beats."""
    beat, within = divmod(tick - phase, TICKS_PER_QUARTER)
    second, first = before * TICKS_PER_QUARTER, swing * TICKS_PER_QUARTER
    if within <= second:
        moved = within * first / second
    else:
        moved = first + (within - second) * (TICKS_PER_QUARTER - first) / (
            TICKS_PER_QUARTER - second
        )
    return max(0, phase + beat * TICKS_PER_QUARTER + round(moved))
