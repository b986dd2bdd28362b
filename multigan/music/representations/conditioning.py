"""Conditioning tensors: observed cells, how they are applied, and the masks of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from multigan.music.representations.tensors import _later, _owners, restrike, total_channels
from multigan.music.representations.time_grid import WindowGrid
from multigan.music.representations.voices import Voice


class Conditioning(NamedTuple):
    """The condition: what is known beforehand. The unconditional one is 0 everywhere.

    `mask` is 1 where the step of a voice is given, and `known` holds these cells, 0 elsewhere.
    A given hold or sustain always follows a given cell (see `give`).
    """

    known: Tensor  # (B, T, C) in {0, 1}
    mask: Tensor  # (B, T, K) in {0, 1}


def unconditional(n: int, steps: int, voices: Sequence[Voice]) -> Conditioning:
    """The unconditional condition of `n` windows."""
    return Conditioning(
        torch.zeros(n, steps, total_channels(voices)), torch.zeros(n, steps, len(voices))
    )


def make_conditioning(
    x: Tensor, mask: Tensor, voices: Sequence[Voice], anew: Tensor | None = None
) -> Conditioning:
    """The cells `mask` (B, T, K) of canonical music (B, T, C) as a condition, of the dtype of x.

    A note that is held into the first given step of a run is struck there: its sounding pitch would
    otherwise follow from the unknown cell before. `anew` is `struck(x, voices)` if that is at hand.
    """
    anew = restrike(x, voices) if anew is None else anew
    mask = mask.to(x.dtype)
    begins = mask * (1 - _later(mask, 1))  # (B, T, K)
    cells, fresh = expand_mask(mask, voices), expand_mask(begins, voices)  # (B, T, C)
    return Conditioning(torch.where(fresh > 0, anew, x) * cells, mask)


def apply_conditioning(x: Tensor, given: Conditioning, voices: Sequence[Voice]) -> Tensor:
    """x (B, T, C) with the given cells put in, bit by bit; the others keep their gradients."""
    return torch.where(expand_mask(given.mask, voices) > 0, given.known, x)


def expand_mask(mask: Tensor, voices: Sequence[Voice]) -> Tensor:
    """A mask of cells (..., T, K) as a mask of channels (..., T, C)."""
    return mask.index_select(-1, _owners(tuple(voices)).to(mask.device))


def draw_mask(frame: WindowGrid, rng: torch.Generator) -> Tensor:
    """Draw a mask (T, K), float32, from the mixture MASKS."""
    u = float(torch.rand((), generator=rng))
    for share, draw in MASKS:
        u -= share
        if u < 0:
            return draw(frame, rng)
    return no_conditioning(frame, rng)


def no_conditioning(frame: WindowGrid, rng: torch.Generator) -> Tensor:
    """Nothing is known."""
    return torch.zeros(frame.steps, frame.voices)


def whole_tracks(frame: WindowGrid, rng: torch.Generator) -> Tensor:
    """One or more voices are known throughout, but never all of them."""
    mask = no_conditioning(frame, rng)
    if frame.voices > 1:
        count = _between(1, frame.voices - 1, rng)
        mask[:, torch.randperm(frame.voices, generator=rng)[:count]] = 1
    return mask


def prefix(frame: WindowGrid, rng: torch.Generator) -> Tensor:
    """The first bars are known, but never all of them."""
    mask = no_conditioning(frame, rng)
    if frame.bars > 1:
        mask[: _between(1, frame.bars - 1, rng) * frame.bar_steps] = 1
    return mask


def inpainting(frame: WindowGrid, rng: torch.Generator) -> Tensor:
    """All is known but some neighbouring bars of some voices."""
    mask = torch.ones(frame.steps, frame.voices)
    bars = _between(1, frame.bars, rng)
    first = _between(0, frame.bars - bars, rng)
    count = _between(1, frame.voices, rng)
    hidden = torch.randperm(frame.voices, generator=rng)[:count]
    mask[first * frame.bar_steps : (first + bars) * frame.bar_steps, hidden] = 0
    return mask


def random_beats(frame: WindowGrid, rng: torch.Generator) -> Tensor:
    """Each beat of each voice is known by a chance that is drawn first."""
    chance = torch.rand((), generator=rng)
    beats = frame.steps // frame.beat_steps
    known = torch.rand(beats, frame.voices, generator=rng) < chance
    return known.float().repeat_interleave(frame.beat_steps, dim=0)  # (T, K)


def _between(low: int, high: int, rng: torch.Generator) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


MASKS: tuple[tuple[float, Callable[[WindowGrid, torch.Generator], Tensor]], ...] = (
    (0.40, no_conditioning),
    (0.15, whole_tracks),
    (0.15, prefix),
    (0.15, inpainting),
    (0.15, random_beats),
)  # share of the samples, what is known
