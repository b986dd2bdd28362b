"""Poor imitations of real lines: what a model has to beat. Each takes training lines (M, T, L)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from multigan.music.reference import markov_voices, shuffled_voices
from multigan.music.theory import REST
from multigan.music.windows import SIXTEENTHS, Grid


def shuffled(train: Tensor, n: int, rng: torch.Generator, grid: Grid = SIXTEENTHS) -> Tensor:
    """`n` windows whose lines come from different ones; see `reference.shuffled_voices`."""
    return shuffled_voices(train, n, rng)


def markov(train: Tensor, n: int, rng: torch.Generator, grid: Grid = SIXTEENTHS) -> Tensor:
    """`n` windows of lines that are chains of steps; see `reference.markov_voices`."""
    return markov_voices(train, n, rng)


def random_quarters(train: Tensor, n: int, rng: torch.Generator, grid: Grid = SIXTEENTHS) -> Tensor:
    """`n` windows (n, T, L) of quarter notes, each pitch uniform in its line's training range.

    A line that never sounds stays silent.
    """
    beats = -(-train.shape[1] // grid.quarter_steps)
    lines = []
    for line in train.unbind(2):
        heard = line[line > REST].tolist() or [REST]
        lines.append(torch.randint(min(heard), max(heard) + 1, (n, beats), generator=rng))
    quarters = torch.stack(lines, dim=2)  # (n, beats, L)
    return quarters.repeat_interleave(grid.quarter_steps, dim=1)[:, : train.shape[1]]


IMITATIONS: dict[str, Callable[[Tensor, int, torch.Generator, Grid], Tensor]] = {
    "voices shuffled": shuffled,
    "Markov": markov,
    "random quarters": random_quarters,
}
