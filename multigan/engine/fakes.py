"""The fakes of a step: every draw is a pure function of (seed, step, phase, micro-batch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from multigan.contract import Batch, Condition, Latent, tree_cat, tree_map
from multigan.recipe import Recipe
from multigan.rng import keyed_rng


class Fakes:
    """Draws what a generator, compiled if asked for, makes for the updates of both players."""

    def __init__(
        self, generator: Any, recipe: Recipe, seed: int, device: torch.device, compile: bool = False
    ) -> None:
        self.generator, self.seed, self.device = generator, seed, device
        self._generate = torch.compile(generator) if compile else generator
        apart = getattr(generator, "samples_apart", False)
        self.together = apart and recipe.discriminator_steps > 1 and recipe.accumulate == 1

    def draw(self, n: int, condition: Condition, step: int, phase: str, micro: int) -> Tensor:
        """`n` fakes (n, ...)."""
        return self._generate(self._latent(n, step, phase, micro), condition)

    def ahead(self, reals: Sequence[Batch], step: int) -> Sequence[Tensor | None]:
        """Those of all of D's updates, from one pass where the generator allows it; else None."""
        if not self.together:
            return [None] * len(reals)
        counts = [len(real.x) for real in reals]
        latents = [self._latent(n, step, phase_of(k), 0) for k, n in enumerate(counts)]
        condition = tree_cat([real.condition for real in reals])
        return self._generate(tree_cat(latents), condition).split(counts)

    def _latent(self, n: int, step: int, phase: str, micro: int) -> Latent:
        rng = keyed_rng(self.seed, "latent", step, phase, micro)
        return tree_map(lambda leaf: leaf.to(self.device), self.generator.sample_latent(n, rng))


def phase_of(update: int) -> str:
    """The phase of D's update in a step, under which its draws are made."""
    return f"discriminator {update}"
