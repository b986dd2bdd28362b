"""Beats of live performances, tracked from the onsets of their notes.

The local tempo is the path of greatest autocorrelation of the onsets; beats are then placed by
dynamic programming, which weighs onsets against even intervals. The same tracker on the same
intervals between onsets, in random order, says what chance explains.

Source: Ellis 2007, "Beat tracking by dynamic programming", Journal of New Music Research 36(1);
the tempo path as in Grosche and Mueller 2011, "Extracting predominant local pulse information".
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from multigan.core.rng import keyed_rng
from multigan.music.datasets.beat_alignment import GRIDS
from multigan.music.formats.song import TICKS_PER_QUARTER, Note, Song, TimeSignature

FRAMES = 100  # per second
SMOOTHING_FRAMES = 2.0  # standard deviation of an onset
SLOWEST_BPM, FASTEST_BPM, TEMPOS = 60.0, 200.0, 60  # candidates, evenly spaced in octaves
USUAL_BPM, TEMPO_OCTAVES = 120.0, 0.8  # mean and standard deviation of the prior
WINDOW_SECONDS, HOP_SECONDS = 8.0, 1.0  # in which a tempo is estimated
TEMPO_CHANGE_COST = 8.0  # per octave, in units of the autocorrelation
TIGHTNESS = 100.0  # weight of even beats against onsets
BASS_PITCH, BASS_WEIGHT = 52, 0.5  # notes below it mark beats more
SHUFFLES = 2  # random orders of the intervals between onsets, whose mean error is chance
CLEAR = 0.85  # of the error of chance: beats with a greater one are not used
BEATS_PER_BAR = 4


class BeatTracking(NamedTuple):
    """The median tempo, and the mean distance of onsets from steps as a share of random onsets'.

    `error` is of the tracked beats, `chance_error` of those tracked from shuffled intervals.
    """

    tempo_bpm: float
    error: float
    chance_error: float

    @property
    def is_clear(self) -> bool:
        """True if the beats explain the onsets clearly better than chance."""
        return self.error <= CLEAR * self.chance_error


def track_beats(song: Song) -> tuple[Song, BeatTracking]:
    """Return the song with its notes on tracked beats, in bars of 4/4, and how well these fit.

    Raises ValueError for a song without notes in a track that is not of drums.
    """
    notes = [note for track in song.tracks if not track.is_drum for note in track.notes]
    if not notes:
        raise ValueError("a song must have pitched notes to track beats; got none")
    notes.sort(key=lambda note: note.start_tick)
    seconds = np.array([song.seconds_at(note.start_tick) for note in notes])
    weights = np.array([1 + BASS_WEIGHT * (note.pitch_midi < BASS_PITCH) for note in notes])
    beats = beat_seconds(seconds, weights)
    found = BeatTracking(
        60 / float(np.median(np.diff(beats))),
        _error(_positions(seconds, beats)),
        float(np.mean([_chance_error(seconds, weights, k) for k in range(SHUFFLES)])),
    )
    return _on_beats(song, beats, _downbeat(_positions(seconds, beats), weights)), found


def _chance_error(seconds: np.ndarray, weights: np.ndarray, shuffle: int) -> float:
    """Return the error of the beats tracked from the intervals between onsets in random order.

    Chords and the rate of onsets stay as they are, so that only the order of the intervals counts.
    """
    rng = keyed_rng(0, "beat chance", shuffle)
    order = torch.randperm(len(seconds), generator=rng).numpy()
    shuffled = np.cumsum(np.diff(seconds, prepend=0.0)[order])
    return _error(_positions(shuffled, beat_seconds(shuffled, weights)))


def beat_seconds(seconds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the times of beats, in order, for onsets (notes,) in seconds and their weights."""
    envelope = _envelope(seconds, weights)
    periods = _periods(envelope)
    scores, before = envelope.copy(), np.full(len(envelope), -1)
    for frame in range(len(envelope)):
        period = periods[frame]
        earliest, latest = frame - round(2 * period), frame - round(period / 2)
        if latest < 0:
            continue
        places = np.arange(max(0, earliest), latest + 1)
        candidates = scores[places] - TIGHTNESS * np.log((frame - places) / period) ** 2
        best = int(candidates.argmax())
        if candidates[best] > 0:
            scores[frame] += candidates[best]
            before[frame] = places[best]
    frame = len(scores) - 1 - int(scores[::-1][: round(2 * periods[-1])].argmax())
    found = [frame]
    while before[frame] >= 0:
        frame = int(before[frame])
        found.append(frame)
    beats = np.array(found[::-1]) / FRAMES
    return beats if len(beats) > 1 else np.array([beats[0], beats[0] + periods[0] / FRAMES])


def _envelope(seconds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the strength of onsets (frames,), smoothed, with a standard deviation of 1."""
    frames = np.zeros(int(seconds.max() * FRAMES) + FRAMES)
    np.add.at(frames, np.round(seconds * FRAMES).astype(np.int64), weights)
    reach = np.arange(-4 * int(SMOOTHING_FRAMES), 4 * int(SMOOTHING_FRAMES) + 1)
    kernel = np.exp(-0.5 * (reach / SMOOTHING_FRAMES) ** 2)
    smooth = np.convolve(np.sqrt(frames), kernel, mode="same")
    return smooth / max(float(smooth.std()), 1e-9)


def _periods(envelope: np.ndarray) -> np.ndarray:
    """Return the frames per beat at each frame: the best path through the tempos of windows."""
    tempos = np.geomspace(SLOWEST_BPM, FASTEST_BPM, TEMPOS)
    periods = 60 * FRAMES / tempos
    prior = -0.5 * (np.log2(tempos / USUAL_BPM) / TEMPO_OCTAVES) ** 2
    window, hop = round(WINDOW_SECONDS * FRAMES), round(HOP_SECONDS * FRAMES)
    padded = np.pad(envelope, (window // 2, window))
    centers = range(0, len(envelope), hop)
    strengths = np.stack([_comb(padded[c : c + window], periods) for c in centers]) + prior
    cost = TEMPO_CHANGE_COST * np.abs(np.log2(tempos[:, None] / tempos))  # (TEMPOS, TEMPOS)
    score, came = strengths[0], []
    for strength in strengths[1:]:
        reached = score[:, None] - cost
        came.append(reached.argmax(0))
        score = reached.max(0) + strength
    path = [int(score.argmax())]
    for origin in reversed(came):
        path.append(int(origin[path[-1]]))
    return np.interp(np.arange(len(envelope)), list(centers), periods[path[::-1]])


def _comb(frames: np.ndarray, periods: np.ndarray) -> np.ndarray:
    """Return the autocorrelation (TEMPOS,) of a window at one to four beats, in its deviations."""
    centered = frames - frames.mean()
    spectrum = np.fft.rfft(centered, 2 * len(frames))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(frames)]
    lags = np.outer(periods, np.arange(1, 5))  # (TEMPOS, 4)
    found = np.interp(lags.ravel(), np.arange(len(frames)), correlation).reshape(lags.shape)
    return found.mean(1) / max(float(correlation[0]), 1e-9) * 10


def _positions(seconds: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """Return times in beats, counted from the first; the outer intervals go on."""
    first, last = beats[1] - beats[0], beats[-1] - beats[-2]
    before = int(max(0.0, beats[0] - seconds.min()) / first) + 2
    after = int(max(0.0, seconds.max() - beats[-1]) / last) + 2
    times = np.concatenate(
        [
            beats[0] - first * np.arange(before, 0, -1),
            beats,
            beats[-1] + last * np.arange(1, after + 1),
        ]
    )
    return np.interp(seconds, times, np.arange(len(times)) - before)


def _error(positions: np.ndarray) -> float:
    """Return the mean distance from steps over that of random onsets, on the better of GRIDS."""
    found = []
    for grid in GRIDS:
        steps = positions * grid
        found.append(float(np.abs(steps - np.round(steps)).mean()) * 4)
    return min(found)


def _downbeat(positions: np.ndarray, weights: np.ndarray) -> int:
    """Return which of four beats has the greatest weight of onsets."""
    nearest = np.round(positions)
    on_beat = np.abs(positions - nearest) < 1 / (2 * GRIDS[0])
    beats = nearest[on_beat].astype(np.int64) % BEATS_PER_BAR
    return int(np.bincount(beats, weights[on_beat], minlength=BEATS_PER_BAR).argmax())


def _on_beats(song: Song, beats: np.ndarray, downbeat: int) -> Song:
    """Return the song at the median tempo with its notes on beats, a bar line at `downbeat`."""

    def positions(ticks: list[int]) -> np.ndarray:
        return _positions(np.array([song.seconds_at(tick) for tick in ticks]), beats)

    first = positions([min(note.start_tick for track in song.tracks for note in track.notes)])
    bars_before = -int(np.floor((first[0] - downbeat) / BEATS_PER_BAR))
    shift = bars_before * BEATS_PER_BAR - downbeat

    def placed(ticks: list[int]) -> list[int]:
        found = np.round((positions(ticks) + shift) * TICKS_PER_QUARTER).astype(np.int64)
        return np.maximum(found, 0).tolist()

    tracks = []
    for track in (track for track in song.tracks if track.notes):
        starts, ends = (placed([note[side] for note in track.notes]) for side in (0, 1))
        notes = tuple(
            Note(start, max(end, start + 1), *note[2:])
            for start, end, note in zip(starts, ends, track.notes, strict=True)
        )
        pedal: tuple[tuple[int, int], ...] = ()
        if track.pedal:
            downs, ups = (placed([span[side] for span in track.pedal]) for side in (0, 1))
            pedal = tuple(span for span in zip(downs, ups, strict=True) if span[0] < span[1])
        tracks.append(replace(track, notes=notes, pedal=pedal))
    bar = BEATS_PER_BAR * TICKS_PER_QUARTER
    return replace(
        song,
        tracks=tuple(tracks),
        length_ticks=-(-max(track.end_tick for track in tracks) // bar) * bar,
        tempo_bpm=60 / float(np.median(np.diff(beats))),
        time_signatures=(TimeSignature(0, BEATS_PER_BAR, 4),),
        anacrusis_ticks=0,
        tempo_changes=(),
    )
