"""Metrics at the boundaries between the windows of long songs."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.evaluation_size import evaluation_size
from multigan.core.protocols import Generator
from multigan.music.metrics.harmony import dissonance_rate
from multigan.music.metrics.voice_lines import voice_lines
from multigan.music.representations.conditioning import unconditional
from multigan.music.representations.tensors import active_cells, binarize, slice_window
from multigan.music.sampling.sliding_window import sample_long
from multigan.music.spec import MusicSpec
from multigan.music.theory import REST

PIECES, BOUNDARIES = 128, 8  # songs sampled, and windows in each after its first
BATCH_SIZE = 64  # songs per forward pass


def sample_continuations(spec: MusicSpec, generator: Generator, rng: torch.Generator) -> Tensor:
    """Sample the later windows (PIECES x BOUNDARIES, T, C) of long songs, song by song.

    Each begins with bars that the window before generated; new music begins at `boundary_step`.
    """
    steps, hop = spec.grid.steps, spec.hop_steps
    starts = [hop * (k + 1) for k in range(BOUNDARIES)]
    free = unconditional(1, starts[-1] + steps, spec.voices)
    windows = []
    pieces = evaluation_size(PIECES * BOUNDARIES) // BOUNDARIES
    for first in range(0, pieces, BATCH_SIZE):
        n = min(BATCH_SIZE, pieces - first)
        x = sample_long(generator, n, rng, free, spec.voices, window_steps=steps, hop_steps=hop)
        slices = [slice_window(x, start, start + steps, spec.voices) for start in starts]
        windows.append(torch.stack(slices, dim=1).flatten(0, 1))  # (n x BOUNDARIES, T, C)
    return binarize(torch.cat(windows), spec.voices)


def boundary_step(spec: MusicSpec) -> int:
    """Return the step of a later window at which new music begins."""
    return spec.grid.steps - spec.hop_steps


def boundary_metrics(spec: MusicSpec, x: Tensor) -> dict[str, float]:
    """Compute metrics at the boundary in canonical windows (N, T, C); in real ones at a bar line.

    boundary_interval: mean interval in semitones from the step before to the step after, over the
    lines that sound at both (0 for a held note). boundary_dissonance_rate: dissonance on these two
    steps, of two lines or more. boundary_silent_bar_rate: fraction of the bars before and after
    without any note.
    """
    boundary, bar = boundary_step(spec), spec.grid.bar_steps
    lines = voice_lines(x[:, : boundary + 1], spec.voices)[:, -2:]  # (N, 2, L)
    both = (lines > REST).all(1)
    intervals = (lines[:, 1] - lines[:, 0]).abs()[both].double()
    active = torch.stack([s.any(-1) for s in active_cells(x, spec.voices)]).any(0)  # (N, T)
    around = active[:, boundary - bar : boundary + bar].unflatten(1, (2, bar)).any(2)
    found = {"boundary_interval": float(intervals.mean())}
    if lines.shape[2] > 1:
        found["boundary_dissonance_rate"] = float(dissonance_rate(lines).mean())
    return found | {"boundary_silent_bar_rate": float((~around).double().mean())}
