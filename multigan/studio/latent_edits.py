"""Interactive latent edits: interpolation to the latents of another seed, and along directions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import nn

from multigan.core.protocols import (
    SAMPLING_BATCH_SIZE,
    Condition,
    Latent,
    Sample,
    Sampler,
    SupportsInterpolation,
)
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map

DIRECTIONS = 4
MAX_FRACTION = 0.5  # of the path to the end of a direction, where all samples would be equal


class EditSettings(NamedTuple):
    """Latent edits; the defaults change nothing."""

    other_seed: int = 0
    fraction: float = 0.0  # of the path to the latents of the other seed, in [0, 1]
    positions: tuple[float, ...] = ()  # on each direction, in [-1, 1]

    @property
    def any(self) -> bool:
        """True if any edit changes latents."""
        return self.fraction != 0 or any(self.positions)


class LatentEdit(nn.Module):
    """A generator with edited latents; all other attributes are those of the generator.

    Before the edits latents are those of `Sampler.sample`, for any number of samples.
    Raises ValueError for edits of latents that cannot be interpolated.
    """

    def __init__(self, generator: Any, edits: EditSettings, chunk: int = 0) -> None:
        super().__init__()
        if edits.any and not supports_interpolation(generator):
            raise ValueError(f"the latents of {type(generator).__name__} cannot be interpolated")
        self.generator, self.edits = generator, edits
        self.other_rng = keyed_rng(edits.other_seed, "sample", chunk)  # one stream for all calls

    def __getattr__(self, name: str) -> Any:
        """Attributes of the generator."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("generator"), name)

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """`n` edited latents."""
        latent, edits = self._first(n, rng), self.edits
        if edits.fraction:
            other = self._first(n, self.other_rng)
            latent = self.generator.interpolate(latent, other, edits.fraction)
        for number, position in enumerate(edits.positions):
            if position:
                rng = keyed_rng("direction", number, position > 0)
                end = tree_map(
                    lambda leaf: leaf.expand(n, *leaf.shape[1:]),
                    self.generator.sample_latent(1, rng),
                )
                latent = self.generator.interpolate(latent, end, MAX_FRACTION * abs(position))
        return latent

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        return self.generator(latent, condition)

    def _first(self, n: int, rng: torch.Generator) -> Latent:
        """The first `n` latents of a full batch."""
        latent = self.generator.sample_latent(SAMPLING_BATCH_SIZE, rng)
        return tree_map(lambda leaf: leaf[:n], latent)


def supports_interpolation(generator: Any) -> bool:
    """True if the latents of a generator can be interpolated."""
    return isinstance(generator, SupportsInterpolation)


def sample_with_edits(
    sampler: Sampler, n: int, seed: int, edits: EditSettings, **options: Any
) -> list[Sample]:
    """`n` samples; without edits those of `sampler.sample(n, seed)`, up to rounding."""
    samples: list[Sample] = []
    for chunk in range(math.ceil(n / SAMPLING_BATCH_SIZE)):
        count = min(SAMPLING_BATCH_SIZE, n - len(samples))
        generator: Any = LatentEdit(sampler.generator, edits, chunk)
        rng = keyed_rng(seed, "sample", chunk)
        samples += sampler.domain.sample(generator, count, rng, **options)
    return samples
