"""Nearest training windows of songs, by the sounding cells that both share, in any key."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from multigan.core.protocols import Dataset
from multigan.music.representations.tensors import active_cells
from multigan.music.representations.voices import Voice

SHIFTS = range(-6, 6)  # semitones: every key once
BLOCK = 256  # windows that are compared at once
MAX_PRODUCTS = 2e10  # multiplications in all: about a second of a CPU core


def nearest_windows(
    x: Tensor, data: Dataset, voices: Sequence[Voice], rng: torch.Generator
) -> tuple[Tensor, list[float], int]:
    """Find the training window (n, T, C) nearest to each of `x`.

    The distance is 1 - 2 shared / (own + its) of the sounding cells, steps times pitches of each
    voice, for the best of twelve transpositions. Returns the windows, the distances, and the number
    of windows that were read; a part of them, at random, where all would take too long.
    """
    shifted = torch.stack([_cells(x, voices, shift) for shift in SHIFTS])  # (12, n, cells)
    own = _cells(x, voices, 0).sum(1)
    most = int(MAX_PRODUCTS / shifted.numel())
    indices = torch.randperm(len(data), generator=rng)[: max(1, most)].sort().values
    best = torch.full((len(x),), torch.inf)
    nearest = torch.zeros_like(x)
    for block in indices.split(BLOCK):
        windows = data.batch(block).x.cpu().float()
        cells = _cells(windows, voices, 0)
        shared = (shifted @ cells.T).amax(0)  # (n, windows)
        total = own[:, None] + cells.sum(1)
        distances = (1 - 2 * shared / total.clamp_min(1)).min(1)
        is_nearer = distances.values < best
        best[is_nearer] = distances.values[is_nearer]
        nearest[is_nearer] = windows[distances.indices[is_nearer]]
    return nearest, best.tolist(), len(indices)


def _cells(x: Tensor, voices: Sequence[Voice], semitones: int) -> Tensor:
    """The sounding cells (n, cells) of all voices, pitches moved by `semitones`; drums stay."""
    moved = [
        cells if voice.kind == "drums" else _moved(cells, semitones)
        for voice, cells in zip(voices, active_cells(x, voices), strict=True)
    ]
    return torch.cat([cells.flatten(1) for cells in moved], 1)


def _moved(cells: Tensor, semitones: int) -> Tensor:
    """Move the last axis; what leaves it is lost."""
    padded = F.pad(cells, (max(semitones, 0), max(-semitones, 0)))
    start = max(-semitones, 0)
    return padded[..., start : start + cells.shape[-1]]
