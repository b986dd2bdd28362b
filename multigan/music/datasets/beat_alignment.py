"""Alignment of notes with beats: a constant offset is removed, and live timing is known.

A transcription often has one constant offset from the beats of its file. It is found by the
error of the onsets: their mean distance from the nearest step. Onsets without beats have an error
of 1 / (4 grid) beats on a grid of so many steps per beat, which is called chance here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from multigan.music.formats.song import TICKS_PER_QUARTER, Note, Song, Track

GRIDS = (4, 12)  # steps per quarter that onsets are compared with: sixteenths, and their triplets
FINEST_STEP = TICKS_PER_QUARTER // 24  # of the finest grid of a training
QUANTIZED = 0.99  # of the onsets exactly on its steps: the song stays as it is
CLOSE = 0.12  # of chance: onsets that are nearer to the steps stay as they are
PRESENT = 0.25  # of chance: sixteenths that explain the onsets
MOVED = 0.6  # of chance, and
GAIN = 0.5  # of the error before: what an offset must at least bring
LIVE = 0.8  # of chance on every grid, whatever the offset: there are no beats
FEWEST = 64  # onsets that tell an offset or live timing from few notes off the grid
SWING = (0.55, 0.8)  # of a beat: where the second eighth of a swung pair begins
STRAIGHT = (0.45, 0.55)
SWUNG_SHARE = 0.6  # of the second eighths
SECOND_THIRD = (0.28, 0.39)  # of a beat: where the second note of a triplet begins
TRIPLET_SHARE = 0.5  # of the swung eighths: more second thirds tell triplets from swing


class BeatAlignment(NamedTuple):
    """The offset removed, in ticks, and the errors of the onsets in beats, before and after.

    `chance` is the smaller error, after, as a share of chance on its grid.
    """

    offset_ticks: int = 0
    error_before: float = 0.0
    error_after: float = 0.0
    chance: float = 0.0
    is_live: bool = False


def align_beats(song: Song) -> tuple[Song, BeatAlignment]:
    """Return the song with a constant offset of its onsets from the beats removed, and the result.

    An offset is searched on both GRIDS, and among the steps of a beat that it leaves open the one
    with most onsets is the beat. Live timing and aligned songs are returned as they are.
    """
    ticks = onset_ticks(song)
    if len(ticks) < FEWEST:
        return song, BeatAlignment()
    errors = {grid: _errors(ticks, grid) for grid in GRIDS}
    shares = {grid: found * 4 * grid for grid, found in errors.items()}  # of chance
    written = (grid for grid in GRIDS if shares[grid].min() <= PRESENT)  # sixteenths if possible
    grid = next(written, min(GRIDS, key=lambda g: shares[g].min()))
    least, before = float(shares[grid].min()), float(shares[grid][0])
    if (ticks % FINEST_STEP == 0).mean() >= QUANTIZED:
        error = min(float(found[0]) for found in errors.values())
        return song, BeatAlignment(0, error, error, before)
    if least > LIVE:
        error = float(errors[GRIDS[0]][0])
        return song, BeatAlignment(0, error, error, least, is_live=True)
    if before <= CLOSE or least > min(MOVED, GAIN * before):
        error = float(errors[grid][0])
        return song, BeatAlignment(0, error, error, before)
    offset = _beat_phase(ticks, int(shares[grid].argmin()), grid)
    return _moved(song, offset), BeatAlignment(
        offset, float(errors[grid][0]), float(errors[grid].min()), least
    )


def onset_ticks(song: Song) -> np.ndarray:
    """Return the start of every note but drums, (notes,) int64, in order."""
    starts = [note.start_tick for track in song.tracks if not track.is_drum for note in track.notes]
    return np.sort(np.array(starts, np.int64))


def swing_ratio(song: Song) -> float | None:
    """Return where in a beat the second eighth begins: .5 is straight, .667 a triplet.

    The median over the onsets around the middle of a beat; None if fewer than FEWEST are there, if
    they are neither straight nor swung, or if they belong to triplets.
    """
    positions = (onset_ticks(song) - song.anacrusis_ticks) % TICKS_PER_QUARTER / TICKS_PER_QUARTER
    middle = positions[(positions > STRAIGHT[0]) & (positions < SWING[1])]
    swung = middle[(middle >= SWING[0]) & (np.abs(middle - 0.75) > 0.02)]  # no sixteenth
    straight = middle[middle < STRAIGHT[1]]
    if len(swung) + len(straight) < FEWEST:
        return None
    if len(swung) >= SWUNG_SHARE * (len(swung) + len(straight)):
        thirds = (positions > SECOND_THIRD[0]) & (positions < SECOND_THIRD[1])
        if thirds.sum() > TRIPLET_SHARE * len(swung):
            return None
        return round(float(np.median(swung)), 3)
    return 0.5 if len(straight) >= SWUNG_SHARE * (len(swung) + len(straight)) else None


def is_swung(ratio: float | None) -> bool:
    """Return True for a `swing_ratio` beyond those of straight eighths."""
    return ratio is not None and ratio >= SWING[0]


def _errors(ticks: np.ndarray, grid: int) -> np.ndarray:
    """Return the mean distance in beats (step,) from the steps of a grid, moved by each offset."""
    step = TICKS_PER_QUARTER // grid
    places = np.arange(step)
    apart = np.abs((places[:, None] - places + step // 2) % step - step // 2)  # (step, step)
    counts = np.bincount(ticks % step, minlength=step)
    return counts @ apart / counts.sum() / TICKS_PER_QUARTER


def _beat_phase(ticks: np.ndarray, offset: int, grid: int) -> int:
    """Return the offset, within half a beat, at which most onsets fall on beats."""
    step = TICKS_PER_QUARTER // grid
    steps = np.round((ticks - offset) / step).astype(np.int64) % grid
    beat = int(np.bincount(steps, minlength=grid).argmax())
    found = (offset + beat * step) % TICKS_PER_QUARTER
    return found if found <= TICKS_PER_QUARTER // 2 else found - TICKS_PER_QUARTER


def _moved(song: Song, offset: int) -> Song:
    """Return the song with all notes `offset` ticks earlier; whole bars later if one were lost."""
    first = min(note.start_tick for track in song.tracks for note in track.notes)
    bar = song.time_signatures[0].bar_ticks
    shift = -offset
    late = -(-max(0, -(first + shift)) // bar) * bar
    if late and first + shift >= -TICKS_PER_QUARTER // max(GRIDS):
        late = 0  # within a step of the start: cut
    tracks = tuple(_moved_track(track, shift + late) for track in song.tracks)
    later = replace(
        song,
        tracks=tracks,
        length_ticks=max(song.length_ticks + late, *(track.end_tick for track in tracks)),
    )
    if not late:
        return later
    return replace(
        later,
        time_signatures=(
            song.time_signatures[0],
            *(m._replace(start_tick=m.start_tick + late) for m in song.time_signatures[1:]),
        ),
        tempo_changes=tuple(c._replace(tick=c.tick + late) for c in song.tempo_changes),
    )


def _moved_track(track: Track, shift: int) -> Track:
    notes = (
        Note(max(0, note.start_tick + shift), note.end_tick + shift, *note[2:])
        for note in track.notes
        if note.end_tick + shift > 0
    )
    pedal = tuple((max(0, a + shift), max(0, b + shift)) for a, b in track.pedal)
    return replace(track, notes=tuple(notes), pedal=tuple(p for p in pedal if p[0] < p[1]))
