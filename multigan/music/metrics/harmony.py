"""Metrics between the voices of a window: distance, crossing, dissonance, parallels.

Voices stand from the highest to the lowest. Every metric takes windows (N, T, K) of MIDI pitches,
-1 for a rest, and returns one figure per window (N,), float64. Steps at which a voice of a pair is
silent do not count, so a silent voice scores a perfect 0 everywhere but in `tonal_distance`: read
these columns with the share of empty bars. All raise ValueError as `validate_windows` does, and for
fewer than two voices.
"""

from __future__ import annotations

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from multigan.music.metrics.note_events import group_by_unit, pitch_classes, validate_windows
from multigan.music.representations.time_grid import STEPS_PER_BEAT
from multigan.music.theory import (
    DISSONANT_INTERVALS,
    MAJOR,
    NATURAL_MINOR,
    OCTAVE,
    PERFECT_INTERVALS,
    REST,
)


def scale_masks() -> Tensor:
    """Return the pitch classes of the 24 scales (24, 12), float64 0 or 1: 12 major, 12 minor.

    Each natural-minor scale has the pitch classes of its relative major: 12 of the 24 rows differ.
    """
    tonics = torch.arange(OCTAVE)[:, None]
    scales = torch.cat(
        [(tonics + torch.tensor(steps)) % OCTAVE for steps in (MAJOR, NATURAL_MINOR)]
    )
    return torch.zeros(2 * OCTAVE, OCTAVE, dtype=torch.float64).scatter(1, scales, 1.0)  # (24, 12)


def interval_mask(intervals: tuple[int, ...]) -> Tensor:
    """Return a mask (12,) bool that is True at `intervals` mod 12."""
    mask = torch.zeros(OCTAVE, dtype=torch.bool)
    mask[list(intervals)] = True
    return mask


def tonal_space() -> Tensor:
    """Return the matrix (6, 12), float64, whose column k places pitch class k in tonal space.

    Three circles of radius 1, 1 and 1/2: of fifths, of minor thirds, of major thirds. Two tonal
    centroids (convex combinations of columns) are at most 3 apart.

    Source: Harte, Sandler and Gasser 2006, "Detecting harmonic change in musical audio".
    """
    k = torch.arange(OCTAVE, dtype=torch.float64)
    circles = ((1.0, 7 / 6), (1.0, 3 / 2), (0.5, 2 / 3))  # radius, half turns per semitone
    rows = [r * f(turns * math.pi * k) for r, turns in circles for f in (torch.sin, torch.cos)]
    return torch.stack(rows)  # (6, 12)


def tonal_distance(windows: ArrayLike, steps_per_beat: int = STEPS_PER_BEAT) -> Tensor:
    """Distance between the voices in tonal space, in [0, 3], over all pairs and beats.

    Each voice's pitch classes in a beat are a histogram of sounding steps that sums to 1; its
    centroid is a point of the 6-D tonal space. Beats in which a voice of the pair is silent
    throughout are left out; NaN if none is left. The goal is the distance of real music: unisons
    score 0. Raises ValueError if a window holds no whole number of beats.

    Source: Harte, Sandler and Gasser 2006; Dong et al. 2018, arXiv:1709.06298.
    """
    x = validate_windows(windows, least_voices=2)
    counts = (
        group_by_unit(pitch_classes(x), steps_per_beat, "beat").sum(2).double()
    )  # (N, beats, K, 12)
    shares = counts / counts.sum(-1, keepdim=True)  # NaN in silent beats
    centroids = shares @ tonal_space().T.to(x.device)  # (N, beats, K, 6)
    upper, lower = _pairs(x)
    apart = (centroids[:, :, upper] - centroids[:, :, lower]).norm(dim=-1)  # (N, beats, pairs)
    return apart.nanmean((1, 2))


def voice_crossing_rate(windows: ArrayLike) -> Tensor:
    """The share of steps at which a voice lies below its lower neighbour, in [0, 1].

    Of the steps at which both sound; averaged over neighbouring voices. Unisons do not cross.
    """
    x = validate_windows(windows, least_voices=2)
    upper, lower = x[:, :, :-1], x[:, :, 1:]
    return _share(upper < lower, _both_sound(upper, lower))


def dissonance_rate(windows: ArrayLike) -> Tensor:
    """The share of steps at which a pair of voices forms a second, seventh or tritone, in [0, 1].

    Octaves apart or not; of the steps at which both sound; averaged over all pairs of voices.
    """
    x = validate_windows(windows, least_voices=2)
    upper, lower = (x[:, :, voices] for voices in _pairs(x))
    return _dissonance(upper, lower)


def dissonance_rate_to(windows: ArrayLike, voice: int) -> Tensor:
    """`dissonance` between the voice of that number and each other one: (N,), in [0, 1]."""
    x = validate_windows(windows, least_voices=2)
    others = [k for k in range(x.shape[2]) if k != voice]
    return _dissonance(x[:, :, voice, None], x[:, :, others])


def parallel_motion_rate(windows: ArrayLike, steps_per_beat: int = STEPS_PER_BEAT) -> Tensor:
    """The share of similar motions that move in parallel unisons, octaves or fifths, in [0, 1].

    Seen on the first step of each beat: two voices are in similar motion if both move, in the same
    direction, between two neighbouring beats at which both sound. Pooled over all pairs of voices;
    0 without any motion.
    """
    x = validate_windows(windows, least_voices=2)[:, ::steps_per_beat]  # (N, beats, K)
    upper, lower = (x[:, :, voices] for voices in _pairs(x))  # (N, beats, pairs)
    sounding = _both_sound(upper, lower)
    same_direction = upper.diff(dim=1).sign() * lower.diff(dim=1).sign() > 0
    similar = same_direction & sounding[:, 1:] & sounding[:, :-1]
    interval = (upper - lower) % OCTAVE  # signed: crossed voices a fourth apart count as a fifth
    perfect = interval_mask(PERFECT_INTERVALS).to(x.device)[interval[:, 1:]]
    hits = similar & perfect & (interval[:, 1:] == interval[:, :-1])
    return hits.sum((1, 2)).double() / similar.sum((1, 2)).clamp(min=1)


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """The upper and the lower voices (K (K - 1) / 2,) of all pairs in (N, T, K)."""
    upper, lower = torch.triu_indices(x.shape[2], x.shape[2], offset=1, device=x.device)
    return upper, lower


def _both_sound(upper: Tensor, lower: Tensor) -> Tensor:
    return (upper > REST) & (lower > REST)


def _dissonance(upper: Tensor, lower: Tensor) -> Tensor:
    """The share of dissonant steps of pairs (N, T, pairs) -> (N,); an interval has no direction."""
    harsh = interval_mask(DISSONANT_INTERVALS).to(upper.device)[(upper - lower) % OCTAVE]
    return _share(harsh, _both_sound(upper, lower))


def _share(hit: Tensor, counted: Tensor) -> Tensor:
    """The share of the counted steps that hit (N, T, pairs) -> (N,), averaged over the pairs.

    A pair without a counted step has 0.
    """
    shares = (hit & counted).sum(1).double() / counted.sum(1).clamp(min=1)  # (N, pairs)
    return shares.mean(1)
