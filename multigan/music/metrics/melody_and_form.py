"""Figures of a melody against its accompaniment, and of the form of a window.

Each returns one value per window (N,), float64, NaN where a window has nothing to measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from multigan.music.metrics.cell_rolls import CellRoll, fold
from multigan.music.metrics.harmony import tonal_space
from multigan.music.metrics.note_events import group_by_unit
from multigan.music.representations.time_grid import TimeGrid
from multigan.music.theory import OCTAVE

# Correlated with durations of pitch classes from the tonic on, they name the key.
# Source: Krumhansl 1990, Cognitive Foundations of Musical Pitch, table 4.1 and chapter 4.
MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
TRIADS = ((0, 4, 7), (0, 3, 7))  # semitones over the root
FIFTH = 7


def melody_tonal_distance(melody: CellRoll, others: CellRoll, grid: TimeGrid) -> Tensor:
    """Distance in tonal space, in [0, 3], of the melody's pitch classes in a beat to the others'.

    Mean over the beats in which both sound. See `harmony.tonal_distance`.
    """
    centroids = []
    for roll in (melody, others):
        counts = group_by_unit(fold(roll.sounds), grid.beat_steps, "beat").sum(2)
        shares = counts / counts.sum(-1, keepdim=True)  # NaN in silent beats
        centroids.append(shares @ tonal_space().T.to(shares.device))  # (N, beats, 6)
    return (centroids[0] - centroids[1]).norm(dim=-1).nanmean(1)


def melody_pitch_accompanied_rate(melody: CellRoll, others: CellRoll, grid: TimeGrid) -> Tensor:
    """Fraction of the melody's steps whose pitch class the others sound in the same beat."""
    classes = group_by_unit(fold(melody.sounds) > 0, grid.beat_steps, "beat")
    played = group_by_unit(fold(others.sounds) > 0, grid.beat_steps, "beat").any(2)
    hits = (classes & played[:, :, None]).any(-1).sum((1, 2)).double()
    return hits / classes.any(-1).sum((1, 2))


def melody_clash_rate(melody: CellRoll, others: CellRoll, grid: TimeGrid) -> Tensor:
    """Fraction of the steps at which both sound with a semitone between their pitch classes."""
    own, played = fold(melody.sounds) > 0, fold(others.sounds) > 0
    near = played.roll(1, -1) | played.roll(-1, -1)
    both = own.any(-1) & played.any(-1)
    return ((own & near).any(-1) & both).sum(1).double() / both.sum(1)


def related_halves_rate(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """1 where both halves of a window are in one key or in neighboring ones, else 0.

    Neighbors differ by at most one sharp or flat in the signature; a minor key has the signature of
    its relative major.
    """
    half = roll.sounds.shape[1] // 2
    halves = [key_signature(fold(part).sum(1)) for part in roll.sounds.split([half, half], dim=1)]
    apart = (halves[0] - halves[1]) % OCTAVE
    return (torch.minimum(apart, OCTAVE - apart) <= 1).double().where(~apart.isnan(), math.nan)


def key_signature(durations: Tensor) -> Tensor:
    """Signature (N,), in fifths above C mod 12, of durations (N, 12); NaN in silence.

    The key is the one of 24 whose profile correlates best.
    """
    profiles = torch.tensor((MAJOR_PROFILE, MINOR_PROFILE), dtype=torch.float64)
    keys = torch.stack([p.roll(tonic) for p in profiles for tonic in range(OCTAVE)])  # (24, 12)
    centered = [rows - rows.mean(1, keepdim=True) for rows in (durations.double(), keys)]
    units = [rows / rows.norm(dim=1, keepdim=True) for rows in centered]
    best = (units[0] @ units[1].T.to(durations.device)).nan_to_num(-1).argmax(1)
    tonic = torch.where(best < OCTAVE, best, best + 3) % OCTAVE  # of the relative major
    return (tonic * FIFTH % OCTAVE).double().where(durations.sum(1) > 0, math.nan)


def stable_ending_rate(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """1 where the last pitch classes of a window lie in one major or minor triad, else 0.

    They are those of the last step that sounds.
    """
    steps = roll.sounds.any(2).int()  # (N, T)
    last = steps.shape[1] - 1 - steps.flip(1).argmax(1)
    used = fold(roll.sounds[torch.arange(len(last)), last]) > 0  # (N, 12)
    outside = used[:, None] & ~_triads().to(used.device)
    return (~outside.any(-1)).any(1).double().where(used.any(1), math.nan)


def _triads() -> Tensor:
    """Return the pitch classes of the 24 major and minor triads, (24, 12) bool."""
    masks = torch.zeros(len(TRIADS), OCTAVE, dtype=torch.bool)
    for mask, triad in zip(masks, TRIADS, strict=True):
        mask[list(triad)] = True
    return torch.cat([masks.roll(root, 1) for root in range(OCTAVE)])


MELODY_FIGURES: dict[str, Callable[[CellRoll, CellRoll, TimeGrid], Tensor]] = {
    "melody_tonal_distance": melody_tonal_distance,
    "melody_pitch_accompanied_rate": melody_pitch_accompanied_rate,
    "melody_clash_rate": melody_clash_rate,
}
FORM_FIGURES: dict[str, Callable[[CellRoll, TimeGrid], Tensor]] = {
    "related_halves_rate": related_halves_rate,
    "stable_ending_rate": stable_ending_rate,
}
