"""What is known beforehand while a generator trains: one checkpoint learns to answer every wish.

Nothing known trains it to compose, whole voices to harmonise, previous bars to continue, and a
hidden box or scattered beats to fill in. A mask is (T, K), 1 where the step of a voice is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Frame(NamedTuple):
    """The size of a window: T = bars x bar_steps steps of K voices; beats divide bars."""

    bars: int
    bar_steps: int
    beat_steps: int
    voices: int

    @property
    def steps(self) -> int:
        """T."""
        return self.bars * self.bar_steps


def draw_mask(frame: Frame, rng: torch.Generator) -> Tensor:
    """Draw a mask (T, K), float32, from the mixture MASKS."""
    u = float(torch.rand((), generator=rng))
    for share, draw in MASKS:
        u -= share
        if u < 0:
            return draw(frame, rng)
    return nothing(frame, rng)


def nothing(frame: Frame, rng: torch.Generator) -> Tensor:
    """Nothing is known."""
    return torch.zeros(frame.steps, frame.voices)


def whole_voices(frame: Frame, rng: torch.Generator) -> Tensor:
    """One or more voices are known throughout, but never all of them."""
    mask = nothing(frame, rng)
    if frame.voices > 1:
        count = _between(1, frame.voices - 1, rng)
        mask[:, torch.randperm(frame.voices, generator=rng)[:count]] = 1
    return mask


def previous_bars(frame: Frame, rng: torch.Generator) -> Tensor:
    """The first bars are known, but never all of them."""
    mask = nothing(frame, rng)
    if frame.bars > 1:
        mask[: _between(1, frame.bars - 1, rng) * frame.bar_steps] = 1
    return mask


def hidden_box(frame: Frame, rng: torch.Generator) -> Tensor:
    """All is known but some neighbouring bars of some voices."""
    mask = torch.ones(frame.steps, frame.voices)
    bars = _between(1, frame.bars, rng)
    first = _between(0, frame.bars - bars, rng)
    count = _between(1, frame.voices, rng)
    hidden = torch.randperm(frame.voices, generator=rng)[:count]
    mask[first * frame.bar_steps : (first + bars) * frame.bar_steps, hidden] = 0
    return mask


def scattered_beats(frame: Frame, rng: torch.Generator) -> Tensor:
    """Each beat of each voice is known by a chance that is drawn first."""
    chance = torch.rand((), generator=rng)
    beats = frame.steps // frame.beat_steps
    known = torch.rand(beats, frame.voices, generator=rng) < chance
    return known.float().repeat_interleave(frame.beat_steps, dim=0)  # (T, K)


def _between(low: int, high: int, rng: torch.Generator) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


MASKS: tuple[tuple[float, Callable[[Frame, torch.Generator], Tensor]], ...] = (
    (0.40, nothing),
    (0.15, whole_voices),
    (0.15, previous_bars),
    (0.15, hidden_box),
    (0.15, scattered_beats),
)  # share of the samples, what is known
