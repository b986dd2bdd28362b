"""What the schedules of a recipe say at one moment of a run, and writing it where it acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import optim

from multigan.engine.schedules import value_at
from multigan.recipe import Recipe


def set_rates(
    recipe: Recipe,
    optimizers: Mapping[str, optim.Optimizer],
    generator: Any,
    progress: float,
    share: float = 1.0,
) -> dict[str, Any]:
    """Write the rates of this step into the optimisers and the generator's buffers; return them.

    `share` of the recipe's learning rates is taken.
    """
    betas = (value_at(recipe.beta1, progress), value_at(recipe.beta2, progress))
    rates: dict[str, Any] = {}
    for name, rate in (
        ("generator", recipe.generator_lr),
        ("discriminator", recipe.discriminator_lr),
    ):
        rates[f"lr/{name}"] = share * value_at(rate, progress)
        for group in optimizers[name].param_groups:
            group["lr"], group["betas"] = rates[f"lr/{name}"], betas
    if hasattr(generator, "anneal"):
        rates |= generator.anneal(progress)
    return rates


def gammas_at(recipe: Recipe, progress: float) -> dict[str, float]:
    """The weight of each penalty in an update that it is due in; those of weight 0 are left out."""
    weights = {
        name: recipe.penalty_every * value_at(gamma, progress)
        for name, gamma in recipe.penalties.items()
    }
    return {name: weight for name, weight in weights.items() if weight > 0}
