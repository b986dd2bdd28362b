"""Where one window of a long piece ends and the next goes on: what can go wrong there, measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from multigan.core.protocols import Generator
from multigan.music.metrics.harmony import dissonance
from multigan.music.metrics.voice_lines import voice_lines
from multigan.music.representations.conditioning import unconditional
from multigan.music.representations.tensors import active_cells, binarize, slice_window
from multigan.music.sampling.sliding_window import sample_long
from multigan.music.theory import REST

if TYPE_CHECKING:
    from multigan.music.domain import MusicDomain

PIECES, SEAMS = 128, 8  # pieces that are drawn, and windows in each after its first
DRAWN_TOGETHER = 64  # pieces per forward pass


def sample_continuations(domain: MusicDomain, generator: Generator, rng: torch.Generator) -> Tensor:
    """The later windows (PIECES x SEAMS, T, C) of long pieces, those of one piece in a row.

    Each begins with bars that the window before wrote; the seam is at `seam_step`.
    """
    steps, hop = domain.frame.steps, domain.hop_steps
    starts = [hop * (k + 1) for k in range(SEAMS)]
    free = unconditional(1, starts[-1] + steps, domain.voices)
    windows = []
    for first in range(0, PIECES, DRAWN_TOGETHER):
        n = min(DRAWN_TOGETHER, PIECES - first)
        x = sample_long(generator, n, rng, free, domain.voices, window_steps=steps, hop_steps=hop)
        cuts = [slice_window(x, start, start + steps, domain.voices) for start in starts]
        windows.append(torch.stack(cuts, dim=1).flatten(0, 1))  # (n x SEAMS, T, C)
    return binarize(torch.cat(windows), domain.voices)


def boundary_step(domain: MusicDomain) -> int:
    """The step of a later window at which new music begins."""
    return domain.frame.steps - domain.hop_steps


def boundary_metrics(domain: MusicDomain, x: Tensor) -> dict[str, float]:
    """What happens at the seam of canonical windows (N, T, C); of real ones, at the same bar line.

    seam_leap: the mean distance in semitones from the step before to the step after, of the lines
    that sound at both (0 for a held note); seam_dissonance: dissonance on these two steps;
    seam_silent_bars: the share of the bars before and after it in which nothing sounds at all.
    """
    seam, bar = boundary_step(domain), domain.frame.bar_steps
    lines = voice_lines(x[:, : seam + 1], domain.voices)[:, -2:]  # (N, 2, L)
    both = (lines > REST).all(1)
    leaps = (lines[:, 1] - lines[:, 0]).abs()[both].double()
    heard = torch.stack([s.any(-1) for s in active_cells(x, domain.voices)]).any(0)  # (N, T)
    around = heard[:, seam - bar : seam + bar].unflatten(1, (2, bar)).any(2)
    return {
        "seam_leap": float(leaps.mean()),
        "seam_dissonance": float(dissonance(lines).mean()),
        "seam_silent_bars": float((~around).double().mean()),
    }
