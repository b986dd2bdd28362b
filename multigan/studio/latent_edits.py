"""Latents that a person moves: from one seed towards another's, and along directions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import nn

from multigan.core.protocols import SAMPLING_BATCH_SIZE, Condition, Latent, Sample, Sampler
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map

DIRECTIONS = 4  # that a person can move along
REACH = 0.5  # of the way to the end of a direction: at all of it every sample would be the same


class EditSettings(NamedTuple):
    """Where a person has moved the latents: nowhere, by default."""

    other_seed: int = 0
    share: float = 0.0  # of the way to the other seed's latents, in [0, 1]
    places: tuple[float, ...] = ()  # on each direction, in [-1, 1]

    @property
    def any(self) -> bool:
        """Whether anything has moved."""
        return self.share != 0 or any(self.places)


class LatentEdit(nn.Module):
    """A generator whose latents are moved; all else that it can do it does as before.

    Latents are those that `Sampler.sample` would draw, however few of a chunk are wanted.
    Raises ValueError for a move where latents cannot be interpolated.
    """

    def __init__(self, generator: Any, moves: EditSettings, chunk: int = 0) -> None:
        super().__init__()
        if moves.any and not supports_interpolation(generator):
            raise ValueError("the latents of this generator cannot be moved, only drawn anew")
        self.generator, self.moves = generator, moves
        self.other_rng = keyed_rng(moves.other_seed, "sample", chunk)  # goes on from draw to draw

    def __getattr__(self, name: str) -> Any:
        """What this class has not, the generator has."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("generator"), name)

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """`n` latents, moved."""
        latent, moves = self._first(n, rng), self.moves
        if moves.share:
            other = self._first(n, self.other_rng)
            latent = self.generator.interpolate(latent, other, moves.share)
        for number, place in enumerate(moves.places):
            if place:
                rng = keyed_rng("direction", number, place > 0)
                end = tree_map(
                    lambda leaf: leaf.expand(n, *leaf.shape[1:]),
                    self.generator.sample_latent(1, rng),
                )
                latent = self.generator.interpolate(latent, end, REACH * abs(place))
        return latent

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        return self.generator(latent, condition)

    def _first(self, n: int, rng: torch.Generator) -> Latent:
        """The first `n` latents of a chunk."""
        latent = self.generator.sample_latent(SAMPLING_BATCH_SIZE, rng)
        return tree_map(lambda leaf: leaf[:n], latent)


def supports_interpolation(generator: Any) -> bool:
    """Whether there is anything between two latents."""
    return hasattr(generator, "interpolate")


def sample_with_edits(
    sampler: Sampler, n: int, seed: int, moves: EditSettings, **wishes: Any
) -> list[Sample]:
    """`n` samples; where nothing has moved, those of `sampler.sample(n, seed)` but for rounding."""
    samples: list[Sample] = []
    for chunk in range(math.ceil(n / SAMPLING_BATCH_SIZE)):
        count = min(SAMPLING_BATCH_SIZE, n - len(samples))
        generator: Any = LatentEdit(sampler.generator, moves, chunk)
        rng = keyed_rng(seed, "sample", chunk)
        samples += sampler.domain.sample(generator, count, rng, **wishes)
    return samples
