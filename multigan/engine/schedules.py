"""Schedules of scalars over a run, and their application to optimizers and penalties."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import optim

from multigan.core.protocols import SupportsAnnealing
from multigan.core.recipe import Recipe, Schedule, Value
from multigan.engine.losses import get_loss


def cosine(start: float, end: float, fraction: float) -> float:
    """Follow half a cosine from start to end. Source: Huang et al. 2024 (R3GAN), burn-in."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def linear(start: float, end: float, fraction: float) -> float:
    """Interpolate linearly from start to end."""
    return start + (end - start) * fraction


def exponential(start: float, end: float, fraction: float) -> float:
    """Interpolate geometrically from start to end, both of one sign and not zero."""
    return start * (end / start) ** fraction


SHAPES: dict[str, Callable[[float, float, float], float]] = {
    "cosine": cosine,
    "linear": linear,
    "exponential": exponential,
}


def progress_of(step: int, schedule_steps: int) -> float:
    """Return the progress in [0, 1]: 0 at step 1, 1 from step `schedule_steps` on."""
    return min(1.0, (step - 1) / (schedule_steps - 1)) if schedule_steps > 1 else 1.0


def value_at(value: Value, progress: float) -> float:
    """Return the value of a number or a schedule at `progress` in [0, 1]."""
    if not isinstance(value, Schedule):
        return float(value)
    fraction = min(1.0, progress / value.fraction) if value.fraction > 0 else 1.0
    return SHAPES[value.shape](value.start, value.end, fraction)


def check_schedule(name: str, value: Value, below: float = math.inf) -> None:
    """Raise ValueError in one line unless the value stays in [0, below) on a known shape."""
    if not isinstance(value, Schedule):
        ends = [float(value)]
    else:
        ends = [value.start, value.end]
        if value.shape not in SHAPES:
            shapes = ", ".join(SHAPES)
            raise ValueError(f"shape of {name} must be one of {shapes}; got {value.shape!r}")
        if value.shape == "exponential" and value.start * value.end <= 0:
            raise ValueError(
                f"exponential {name} must not start, end at or cross zero; got {value}"
            )
    if not all(0 <= end < below for end in ends):
        limit = "a finite number, 0 or more" if below == math.inf else f"0 or more, below {below:g}"
        raise ValueError(f"{name} must be {limit}; got {value}")


def with_burn_in(recipe: Recipe) -> Recipe:
    """Return the recipe with its plain numbers turned into R3GAN's burn-in, where there is one.

    Over the first `burn_in` of the run a cosine takes the learning rates to a quarter and every
    gamma to a tenth. It takes Adam's beta2 from .9, and the EMA half-life from 0, to the recipe's
    values. A Schedule stays as it is. The fraction is the recipe's, else the loss's own: .2 for the
    relativistic loss, 0 for the others.

    Source: Huang et al. 2024 (R3GAN), appendix; the numbers are those of its presets.
    """
    fraction = get_loss(recipe.loss).burn_in if recipe.burn_in is None else recipe.burn_in
    if fraction <= 0:
        return recipe

    def decay(value: Value, ratio: float) -> Value:
        return value if isinstance(value, Schedule) else Schedule(value, value / ratio, fraction)

    def ramp_up(value: Value, start: float) -> Value:
        return (
            value if isinstance(value, Schedule) else Schedule(min(start, value), value, fraction)
        )

    return replace(
        recipe,
        generator_lr=decay(recipe.generator_lr, 4),
        discriminator_lr=decay(recipe.discriminator_lr, 4),
        penalties={name: decay(gamma, 10) for name, gamma in recipe.penalties.items()},
        beta2=ramp_up(recipe.beta2, 0.9),
        ema_halflife_samples=ramp_up(recipe.ema_halflife_samples, 0.0),
    )


def apply_schedules(
    recipe: Recipe,
    optimizers: Mapping[str, optim.Optimizer],
    generator: Any,
    progress: float,
    lr_scale: float = 1.0,
) -> dict[str, Any]:
    """Set this step's learning rates and betas, anneal the generator; return what to log.

    `lr_scale` multiplies the recipe's learning rates.
    """
    betas = (value_at(recipe.beta1, progress), value_at(recipe.beta2, progress))
    rates: dict[str, Any] = {}
    for name, rate in (
        ("generator", recipe.generator_lr),
        ("discriminator", recipe.discriminator_lr),
    ):
        rates[f"lr/{name}"] = lr_scale * value_at(rate, progress)
        for group in optimizers[name].param_groups:
            group["lr"], group["betas"] = rates[f"lr/{name}"], betas
    if isinstance(generator, SupportsAnnealing):
        rates |= generator.anneal(progress)
    return rates


def penalty_weights(recipe: Recipe, progress: float) -> dict[str, float]:
    """Return the weights of the penalties in an update that has them; zero weights are left out."""
    weights = {
        name: recipe.penalty_interval * value_at(gamma, progress)
        for name, gamma in recipe.penalties.items()
    }
    return {name: weight for name, weight in weights.items() if weight > 0}
