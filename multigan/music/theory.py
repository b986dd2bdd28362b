"""The constants of tonal theory that the metrics are made of: scales, intervals, the tonal space.

A pitch is a MIDI number (60 is middle C), a pitch class is pitch mod 12 (0 is C).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

OCTAVE = 12  # semitones, and the number of pitch classes
MIDI_PITCHES = 128  # 0 .. 127
REST = -1  # what stands for a pitch where a voice is silent

MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic
NATURAL_MINOR = (0, 2, 3, 5, 7, 8, 10)
DISSONANT_INTERVALS = (1, 2, 6, 10, 11)  # mod 12: seconds, the tritone, sevenths
PERFECT_INTERVALS = (0, 7)  # mod 12: unison and octave, fifth: no parallels of these


def scale_masks() -> Tensor:
    """The pitch classes of the 12 major and the 12 natural-minor scales (24, 12), float64 0 or 1.

    Each minor scale has the pitch classes of its relative major: 12 of the 24 rows differ.
    """
    tonics = torch.arange(OCTAVE)[:, None]
    scales = torch.cat(
        [(tonics + torch.tensor(steps)) % OCTAVE for steps in (MAJOR, NATURAL_MINOR)]
    )
    return torch.zeros(2 * OCTAVE, OCTAVE, dtype=torch.float64).scatter(1, scales, 1.0)  # (24, 12)


def interval_mask(intervals: tuple[int, ...]) -> Tensor:
    """Which of the 12 intervals mod 12 belong to `intervals`: (12,) bool."""
    mask = torch.zeros(OCTAVE, dtype=torch.bool)
    mask[list(intervals)] = True
    return mask


def tonal_space() -> Tensor:
    """The matrix (6, 12), float64, whose column k places pitch class k in tonal space.

    Three circles of radius 1, 1 and 1/2: of fifths, of minor thirds, of major thirds. Two tonal
    centroids (convex combinations of columns) are at most 3 apart.

    Source: Harte, Sandler and Gasser 2006, "Detecting harmonic change in musical audio".
    """
    k = torch.arange(OCTAVE, dtype=torch.float64)
    circles = ((1.0, 7 / 6), (1.0, 3 / 2), (0.5, 2 / 3))  # radius, half turns per semitone
    rows = [r * f(turns * math.pi * k) for r, turns in circles for f in (torch.sin, torch.cos)]
    return torch.stack(rows)  # (6, 12)
