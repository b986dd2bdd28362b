"""The fakes of a step, those of several updates in one pass where that is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from multigan.contract import Batch, Condition, Latent, tree_cat
from multigan.engine.draws import Draws
from multigan.recipe import Recipe


class Fakes:
    """Draws what a generator, compiled if asked for, makes for the updates of both players."""

    def __init__(self, generator: Any, recipe: Recipe, draws: Draws, compile: bool = False) -> None:
        self.generator, self.draws = generator, draws
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
        return self.draws.latent(self.generator, n, step, phase, micro)


def phase_of(update: int) -> str:
    """The phase of D's update in a step, under which its draws are made."""
    return f"discriminator {update}"
