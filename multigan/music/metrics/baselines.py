"""Baselines for music metrics: shuffled bars and voices, Markov voices, random quarter notes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from multigan.music.representations.time_grid import SIXTEENTHS, STEPS_PER_BEAT, TimeGrid
from multigan.music.theory import MIDI_PITCHES, REST

START_FOR_REST = 60  # first pitch of a chain whose window starts with a rest
QUARTER_RANGES = ((60, 81), (53, 74), (48, 69), (36, 64))  # lowest and highest pitch, S A T B


def shuffled_voices(train: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Combine voices of different windows of `train` (N, T, K) into `n` windows (n, T, K).

    Each voice is real and has its own random order of the windows, without replacement: only the
    harmony is lost. Raises ValueError if `train` has fewer than `n` windows.
    """
    if n > len(train):
        raise ValueError(f"n must be at most the {len(train)} training windows; got {n}")
    orders = [torch.randperm(len(train), generator=rng)[:n] for _ in range(train.shape[2])]
    return torch.stack([train[order, :, k] for k, order in enumerate(orders)], dim=2)


def markov_voices(train: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Sample `n` windows (n, T, K) in which each voice is an independent first-order Markov chain.

    Transition probabilities are those inside the windows `train` (N, T, K), rests left out. All
    voices start on the first step of one random window, on middle C where it has a rest.
    """
    first = train[torch.randint(len(train), (n,), generator=rng), 0].long()  # (n, K)
    first = torch.where(first > REST, first, START_FOR_REST)
    voices = []
    for k in range(train.shape[2]):
        moves, chain = _transitions(train[:, :, k].long()), [first[:, k]]
        while len(chain) < train.shape[1]:
            chain.append(torch.multinomial(moves[chain[-1]], 1, generator=rng)[:, 0])
        voices.append(torch.stack(chain, dim=1))  # (n, T)
    return torch.stack(voices, dim=2)


def random_quarter_notes(n: int, rng: torch.Generator) -> Tensor:
    """Sample `n` two-bar windows (n, T, 4) of quarter notes, uniform in each voice's range."""
    shape = (n, SIXTEENTHS.steps // STEPS_PER_BEAT)
    voices = [torch.randint(low, high + 1, shape, generator=rng) for low, high in QUARTER_RANGES]
    return torch.stack(voices, dim=2).repeat_interleave(STEPS_PER_BEAT, dim=1)


def _transitions(voice: Tensor) -> Tensor:
    """Count the transitions of a voice (N, T) between pitches in one step: (128, 128), float64.

    A pitch without transitions keeps sounding.
    """
    here, there = voice[:, :-1], voice[:, 1:]
    sounding = (here > REST) & (there > REST)
    cells = here[sounding] * MIDI_PITCHES + there[sounding]
    counts = torch.bincount(cells, minlength=MIDI_PITCHES**2).double().view(MIDI_PITCHES, -1)
    return counts + torch.diag((counts.sum(1) == 0).double())


def shuffled_bars(
    train: Tensor, n: int, rng: torch.Generator, grid: TimeGrid = SIXTEENTHS
) -> Tensor:
    """Join bars of different windows of `train` (N, T, L) into `n` windows (n, T, L)."""
    bars = train.unflatten(1, (-1, grid.bar_steps))
    orders = [torch.randperm(len(train), generator=rng)[:n] for _ in range(bars.shape[1])]
    return torch.cat([bars[order, b] for b, order in enumerate(orders)], dim=1)


def shuffled(train: Tensor, n: int, rng: torch.Generator, grid: TimeGrid = SIXTEENTHS) -> Tensor:
    """Shuffle the lines of windows; see `shuffled_voices`."""
    return shuffled_voices(train, n, rng)


def markov(train: Tensor, n: int, rng: torch.Generator, grid: TimeGrid = SIXTEENTHS) -> Tensor:
    """Sample lines from Markov chains; see `markov_voices`."""
    return markov_voices(train, n, rng)


def random_quarter_windows(
    train: Tensor, n: int, rng: torch.Generator, grid: TimeGrid = SIXTEENTHS
) -> Tensor:
    """Sample `n` windows (n, T, L) of quarter notes, uniform in each line's training range.

    A line that never sounds stays silent.
    """
    beats = -(-train.shape[1] // grid.quarter_steps)
    lines = []
    for line in train.unbind(2):
        pitches = line[line > REST].tolist() or [REST]
        lines.append(torch.randint(min(pitches), max(pitches) + 1, (n, beats), generator=rng))
    quarters = torch.stack(lines, dim=2)  # (n, beats, L)
    return quarters.repeat_interleave(grid.quarter_steps, dim=1)[:, : train.shape[1]]


BASELINES: dict[str, Callable[[Tensor, int, torch.Generator, TimeGrid], Tensor]] = {
    "bars shuffled": shuffled_bars,
    "voices shuffled": shuffled,
    "Markov": markov,
    "random quarters": random_quarter_windows,
}
