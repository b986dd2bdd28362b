"""Conditioning tensors: observed cells, their application, and the random masks of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from multigan.music.representations.tensors import (
    restrike,
    shift_time,
    total_channels,
    voice_of_channel,
)
from multigan.music.representations.time_grid import TimeGrid
from multigan.music.representations.voices import Voice, lines_of

ANY_CHORD, TONIC_CHORD = -1, -2  # in place of a chord: none is asked for; a tonic of the key is


class Conditioning(NamedTuple):
    """The condition: observed cells of a window. The unconditional one is 0 everywhere.

    `mask` is 1 where the step of a voice is observed; `values` holds these cells, 0 elsewhere.
    An observed hold or sustain always follows an observed cell (see `make_conditioning`).
    """

    values: Tensor  # (B, T, C) in {0, 1}
    mask: Tensor  # (B, T, K) in {0, 1}
    ending: Tensor | None = None  # (B, 1) in {0, 1}: whether the window ends its song; None: 0
    key: Tensor | None = None  # (B, 12) in {0, 1}: the tonic of the major key asked for; None: any
    chords: Tensor | None = None  # (B, T) int64: asked for, or one of the two above; None: any


@runtime_checkable
class SupportsSongPlan(Protocol):
    """A generator that follows the key, the chords and the ending of a `Conditioning`."""

    has_plan: bool


def unconditional(n: int, steps: int, voices: Sequence[Voice]) -> Conditioning:
    """Return the unconditional condition of `n` windows."""
    return Conditioning(
        torch.zeros(n, steps, total_channels(voices)), torch.zeros(n, steps, len(voices))
    )


def make_conditioning(
    x: Tensor, mask: Tensor, voices: Sequence[Voice], restruck: Tensor | None = None
) -> Conditioning:
    """Condition on the cells `mask` (B, T, K) of canonical music (B, T, C), in the dtype of x.

    A note held into the first observed step of a run gets an onset there: its pitch would otherwise
    depend on the unobserved cell before. `restruck` is `restrike(x, voices)` where it is at hand.
    """
    restruck = restrike(x, voices) if restruck is None else restruck
    mask = mask.to(x.dtype)
    begins = mask * (1 - shift_time(mask, 1))  # (B, T, K)
    cells, fresh = expand_mask(mask, voices), expand_mask(begins, voices)  # (B, T, C)
    return Conditioning(torch.where(fresh > 0, restruck, x) * cells, mask)


def apply_conditioning(x: Tensor, conditioning: Conditioning, voices: Sequence[Voice]) -> Tensor:
    """Replace the observed cells of x (B, T, C) exactly; the others keep their gradients."""
    return torch.where(expand_mask(conditioning.mask, voices) > 0, conditioning.values, x)


def by_line(conditioning: Conditioning, voices: Sequence[Voice]) -> Conditioning:
    """Return the conditioning of `single_lines(voices)`: the mask has a column for each line."""
    lines = torch.tensor(lines_of(voices), device=conditioning.mask.device)
    return conditioning._replace(mask=conditioning.mask.index_select(-1, lines))


def expand_mask(mask: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Expand a mask of cells (..., T, K) to channels (..., T, C)."""
    return mask.index_select(-1, voice_of_channel(tuple(voices)).to(mask.device))


def sample_mask(grid: TimeGrid, voices: int, rng: torch.Generator) -> Tensor:
    """Sample a mask (T, K), float32, of K `voices` from the mixture MASKS."""
    u = float(torch.rand((), generator=rng))
    for probability, sample in MASKS:
        u -= probability
        if u < 0:
            return sample(grid, voices, rng)
    return no_conditioning(grid, voices, rng)


def no_conditioning(grid: TimeGrid, voices: int, rng: torch.Generator) -> Tensor:
    """Observe nothing."""
    return torch.zeros(grid.steps, voices)


def whole_tracks(grid: TimeGrid, voices: int, rng: torch.Generator) -> Tensor:
    """Observe one or more voices throughout, but never all of them."""
    mask = no_conditioning(grid, voices, rng)
    if voices > 1:
        count = _randint(1, voices - 1, rng)
        mask[:, torch.randperm(voices, generator=rng)[:count]] = 1
    return mask


def prefix(grid: TimeGrid, voices: int, rng: torch.Generator) -> Tensor:
    """Observe the first bars, but never all of them."""
    mask = no_conditioning(grid, voices, rng)
    if grid.bars > 1:
        mask[: _randint(1, grid.bars - 1, rng) * grid.bar_steps] = 1
    return mask


def inpainting(grid: TimeGrid, voices: int, rng: torch.Generator) -> Tensor:
    """Observe everything but some consecutive bars of some voices."""
    mask = torch.ones(grid.steps, voices)
    bars = _randint(1, grid.bars, rng)
    first = _randint(0, grid.bars - bars, rng)
    count = _randint(1, voices, rng)
    hidden = torch.randperm(voices, generator=rng)[:count]
    mask[first * grid.bar_steps : (first + bars) * grid.bar_steps, hidden] = 0
    return mask


def random_beats(grid: TimeGrid, voices: int, rng: torch.Generator) -> Tensor:
    """Observe each beat of each voice with one probability, which is sampled first."""
    probability = torch.rand((), generator=rng)
    beats = grid.steps // grid.beat_steps
    observed = torch.rand(beats, voices, generator=rng) < probability
    return observed.float().repeat_interleave(grid.beat_steps, dim=0)  # (T, K)


def _randint(low: int, high: int, rng: torch.Generator) -> int:
    """Sample an integer from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


MASKS: tuple[tuple[float, Callable[[TimeGrid, int, torch.Generator], Tensor]], ...] = (
    (0.40, no_conditioning),
    (0.15, whole_tracks),
    (0.15, prefix),
    (0.15, inpainting),
    (0.15, random_beats),
)  # probability, kind of mask
