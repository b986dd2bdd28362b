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
MAX_PRODUCTS = 2e10  # multiplications of a pass: about a second of a CPU core
STRIDE = 4  # steps: those of a first pass through a large set
CANDIDATES = 4  # windows for each song that a first pass finds


def nearest_windows(
    x: Tensor, data: Dataset, voices: Sequence[Voice], rng: torch.Generator
) -> tuple[Tensor, list[float], int]:
    """Find the training window (n, T, C) nearest to each of `x`.

    The distance is 1 - 2 shared / (own + its) of the sounding cells, steps times pitches of each
    voice, for the best of twelve transpositions. Where all windows would take too long, a first
    pass compares every STRIDE-th step, and where that does, too, of a random part of them. Returns
    the windows, the distances, and the number of windows that were read.
    """
    most = max(1, int(MAX_PRODUCTS / (len(SHIFTS) * _cells(x, voices, 0).numel())))
    indices = torch.randperm(len(data), generator=rng)
    if len(indices) > most:
        indices = indices[: STRIDE * most].sort().values
        found = _closest(x, data, voices, indices, STRIDE, CANDIDATES)[1].unique()
    else:
        found = indices.sort().values
    distances, nearest = _closest(x, data, voices, found, 1, 1)
    return data.batch(nearest[:, 0]).x.cpu().float(), distances[:, 0].tolist(), len(indices)


def _closest(
    x: Tensor, data: Dataset, voices: Sequence[Voice], indices: Tensor, stride: int, count: int
) -> tuple[Tensor, Tensor]:
    """Return distances and indices (n, count) of the closest windows by every `stride`-th step."""
    shifted = torch.stack([_cells(x, voices, shift, stride) for shift in SHIFTS])  # (12, n, cells)
    own = _cells(x, voices, 0, stride).sum(1)
    best = torch.empty(len(x), 0)
    closest = torch.empty(len(x), 0, dtype=torch.int64)
    for block in indices.split(BLOCK):
        cells = _cells(data.batch(block).x.cpu().float(), voices, 0, stride)
        shared = (shifted @ cells.T).amax(0)  # (n, windows)
        total = own[:, None] + cells.sum(1)
        distances = 1 - 2 * shared / total.clamp_min(1)
        distances[total == 0] = 0  # silence is equal to silence
        order = torch.cat([best, distances], 1).sort(dim=1, stable=True)
        best, kept = order.values[:, :count], order.indices[:, :count]
        closest = torch.cat([closest, block.expand(len(x), -1)], 1).gather(1, kept)
    return best, closest


def _cells(x: Tensor, voices: Sequence[Voice], semitones: int, stride: int = 1) -> Tensor:
    """The sounding cells (n, cells) of all voices, pitches moved by `semitones`; drums stay.

    Of every `stride`-th step.
    """
    moved = [
        cells if voice.kind == "drums" else _moved(cells, semitones)
        for voice, cells in zip(voices, active_cells(x, voices), strict=True)
    ]
    return torch.cat([cells[:, ::stride].flatten(1) for cells in moved], 1)


def _moved(cells: Tensor, semitones: int) -> Tensor:
    """Move the last axis; what leaves it is lost."""
    padded = F.pad(cells, (max(semitones, 0), max(-semitones, 0)))
    start = max(-semitones, 0)
    return padded[..., start : start + cells.shape[-1]]
