"""Interactive latent edits: to the latents of another seed, along directions, and to a class."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from multigan.core.protocols import (
    SAMPLING_BATCH_SIZE,
    Condition,
    HasClassNames,
    Latent,
    Sample,
    Sampler,
    SupportsConditionInterpolation,
    SupportsInterpolation,
)
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map

DIRECTIONS = 4  # random ones
MAX_FRACTION = 0.5  # of the path to the end of a direction, where all samples would be equal
MAX_COMPONENT = 0.45  # below the half, from which choices are those of the other end
VARIATION = 0.35  # of the path from a given latent to those of the seed


class EditSettings(NamedTuple):
    """Latent edits; the defaults change nothing."""

    other_seed: int = 0
    fraction: float = 0.0  # of the path to the latents of the other seed, in [0, 1]
    positions: tuple[float, ...] = ()  # on each random direction, in [-1, 1]
    components: tuple[float, ...] = ()  # on each principal direction, in [-1, 1]
    class_index: int = 0  # of another class
    class_fraction: float = 0.0  # of the path to that class, in [0, 1]

    @property
    def any(self) -> bool:
        """True if any edit changes samples."""
        return self.moves_latents or self.class_fraction != 0

    @property
    def moves_latents(self) -> bool:
        """True if any edit changes latents."""
        return self.fraction != 0 or any(self.positions) or any(self.components)


class Ends(NamedTuple):
    """The latents (1, ...) to which a direction leads, on its two sides."""

    low: Latent
    high: Latent


class Origin(NamedTuple):
    """The start of edits: a given latent (1, ...), and the principal directions."""

    latent: Latent = None
    ends: Sequence[Ends] = ()


NOWHERE = Origin()


class LatentEdit(nn.Module):
    """A generator with edited latents; all other attributes are those of the generator.

    Before the edits latents are those of `Sampler.sample`, for any number of samples; with a given
    latent the first of all is that latent, and the others lie between it and those.
    Raises ValueError for edits of latents that cannot be interpolated.
    """

    def __init__(
        self, generator: Any, edits: EditSettings, chunk: int = 0, origin: Origin = NOWHERE
    ) -> None:
        super().__init__()
        moves = edits.moves_latents or origin.latent is not None
        if moves and not supports_interpolation(generator):
            raise ValueError(f"the latents of {type(generator).__name__} cannot be interpolated")
        self.generator, self.edits, self.origin, self.chunk = generator, edits, origin, chunk
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
        if self.origin.latent is not None:
            latent = self._around(self.origin.latent, latent)
        if edits.fraction:
            other = self._first(n, self.other_rng)
            latent = self.generator.interpolate(latent, other, edits.fraction)
        for ends, position in zip(self.origin.ends, edits.components, strict=False):
            end = ends.high if position > 0 else ends.low
            latent = self._towards(latent, end, MAX_COMPONENT * abs(position), n)
        for number, position in enumerate(edits.positions):
            if position:
                rng = keyed_rng("direction", number, position > 0)
                end = self.generator.sample_latent(1, rng)
                latent = self._towards(latent, end, MAX_FRACTION * abs(position), n)
        return latent

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        if self.edits.class_fraction:
            end = torch.full_like(condition, self.edits.class_index)
            fraction = self.edits.class_fraction
            found: torch.Tensor = self.generator.interpolate_condition(
                latent, condition, end, fraction
            )
            return found
        output: torch.Tensor = self.generator(latent, condition)
        return output

    def _towards(self, latent: Latent, end: Latent, fraction: float, n: int) -> Latent:
        """`n` latents at a fraction of the path to one `end` (1, ...)."""
        if not fraction:
            return latent
        ends = tree_map(lambda leaf: leaf.expand(n, *leaf.shape[1:]), end)
        return self.generator.interpolate(latent, ends, fraction)

    def _around(self, given: Latent, latent: Latent) -> Latent:
        """The given latent (1, ...) first, then latents between it and others."""
        near = self.generator.interpolate(
            tree_map(lambda one, all: one.expand_as(all), given, latent), latent, VARIATION
        )
        if self.chunk:
            return near
        return tree_map(lambda one, all: torch.cat([one, all[1:]]), given, near)

    def _first(self, n: int, rng: torch.Generator) -> Latent:
        """The first `n` latents of a full batch."""
        latent = self.generator.sample_latent(SAMPLING_BATCH_SIZE, rng)
        return tree_map(lambda leaf: leaf[:n], latent)


def supports_interpolation(generator: object) -> bool:
    """True if the latents of a generator can be interpolated."""
    return isinstance(generator, SupportsInterpolation)


def supports_class_edits(sampler: Sampler) -> bool:
    """True if samples can be moved towards another class."""
    domain, generator = sampler.domain, sampler.generator
    has_classes = isinstance(domain, HasClassNames) and len(domain.class_names) > 1
    return has_classes and isinstance(generator, SupportsConditionInterpolation)


def sample_with_edits(
    sampler: Sampler,
    n: int,
    seed: int,
    edits: EditSettings,
    origin: Origin = NOWHERE,
    **options: Any,
) -> list[Sample]:
    """`n` samples; without edits those of `sampler.sample(n, seed)`, up to rounding."""
    samples: list[Sample] = []
    options = {**sampler.defaults, **options}
    takes_first = "first" in inspect.signature(sampler.domain.sample).parameters
    for chunk in range(math.ceil(n / SAMPLING_BATCH_SIZE)):
        count = min(SAMPLING_BATCH_SIZE, n - len(samples))
        generator = LatentEdit(sampler.generator, edits, chunk, origin)
        rng = keyed_rng(seed, "sample", chunk)
        first = [len(samples)] if takes_first else []
        samples += sampler.domain.sample(generator, count, rng, *first, **options)
    return samples
