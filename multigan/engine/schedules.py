"""Schedules of scalars over a run, and their application to optimizers and penalties."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import optim

from multigan.core.recipe import Recipe, Schedule, Value
from multigan.engine.losses import get_loss


def cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from start to end. Source: Huang et al. 2024 (R3GAN), burn-in."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def linear(start: float, end: float, share: float) -> float:
    """A straight line from start to end."""
    return start + (end - start) * share


def exponential(start: float, end: float, share: float) -> float:
    """Equal ratios from start to end, both of one sign and not zero."""
    return start * (end / start) ** share


SHAPES: dict[str, Callable[[float, float, float], float]] = {
    "cosine": cosine,
    "linear": linear,
    "exponential": exponential,
}


def progress_of(step: int, horizon: int) -> float:
    """0 at step 1, 1 from the last step of the horizon on; a horizon of one step is all end."""
    return min(1.0, (step - 1) / (horizon - 1)) if horizon > 1 else 1.0


def value_at(value: Value, progress: float) -> float:
    """The value of a number or a schedule at `progress` in [0, 1]."""
    if not isinstance(value, Schedule):
        return float(value)
    share = min(1.0, progress / value.fraction) if value.fraction > 0 else 1.0
    return SHAPES[value.shape](value.start, value.end, share)


def check_schedule(name: str, value: Value, below: float = math.inf) -> None:
    """Raise ValueError in one line unless the value stays in [0, below) on a known shape."""
    if not isinstance(value, Schedule):
        ends = [float(value)]
    else:
        ends = [value.start, value.end]
        if value.shape not in SHAPES:
            known = ", ".join(SHAPES)
            raise ValueError(f"{name}: shape {value.shape!r} is unknown; known: {known}")
        if value.shape == "exponential" and value.start * value.end <= 0:
            raise ValueError(f"{name}: an exponential schedule cannot start, end at or cross zero")
    if not all(0 <= end < below for end in ends):
        limit = "a finite number, 0 or more" if below == math.inf else f"0 or more, below {below:g}"
        raise ValueError(f"{name} is {value}; wanted {limit}")


def with_burn_in(recipe: Recipe) -> Recipe:
    """The recipe with its plain numbers turned into the R3GAN burn-in, where one is due.

    Over the first `burn_in` of the run one cosine takes the learning rates to a quarter, every
    gamma to a tenth, Adam's beta2 from .9 and the EMA half-life from 0 to the recipe's; values
    given as a Schedule stay as they are. The share is the recipe's, else the loss's own: .2 for
    the relativistic game, none for the others.

    Source: Huang et al. 2024 (R3GAN), appendix; the figures are those of its presets.
    """
    share = get_loss(recipe.loss).burn_in if recipe.burn_in is None else recipe.burn_in
    if share <= 0:
        return recipe

    def fall(value: Value, ratio: float) -> Value:
        return value if isinstance(value, Schedule) else Schedule(value, value / ratio, share)

    def climb(value: Value, start: float) -> Value:
        return value if isinstance(value, Schedule) else Schedule(min(start, value), value, share)

    return replace(
        recipe,
        generator_lr=fall(recipe.generator_lr, 4),
        discriminator_lr=fall(recipe.discriminator_lr, 4),
        penalties={name: fall(gamma, 10) for name, gamma in recipe.penalties.items()},
        beta2=climb(recipe.beta2, 0.9),
        ema_halflife_samples=climb(recipe.ema_halflife_samples, 0.0),
    )


def apply_schedules(
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


def penalty_weights(recipe: Recipe, progress: float) -> dict[str, float]:
    """The weight of each penalty in an update that it is due in; those of weight 0 are left out."""
    weights = {
        name: recipe.penalty_interval * value_at(gamma, progress)
        for name, gamma in recipe.penalties.items()
    }
    return {name: weight for name, weight in weights.items() if weight > 0}
