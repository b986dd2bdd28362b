"""Schedules of scalars over a run, and their application to optimizers and penalties."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, optim

from multigan.core.protocols import Generator, SupportsAnnealing
from multigan.core.recipe import AutoGamma, Gamma, Recipe, Schedule, Value


def cosine(start: float, end: float, fraction: float) -> float:
    """Follow half a cosine from start to end. Source: Huang et al. 2024 (R3GAN), burn-in."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def linear(start: float, end: float, fraction: float) -> float:
    """Interpolate linearly from start to end."""
    return start + (end - start) * fraction


def exponential(start: float, end: float, fraction: float) -> float:
    """Interpolate geometrically from start to end, both of one sign and not zero."""
    return float(start * (end / start) ** fraction)


SHAPES: dict[str, Callable[[float, float, float], float]] = {
    "cosine": cosine,
    "linear": linear,
    "exponential": exponential,
}


def progress_of(step: int, schedule_steps: int) -> float:
    """Return the progress in [0, 1]: 0 at step 1, 1 from step `schedule_steps` on."""
    return min(1.0, (step - 1) / (schedule_steps - 1)) if schedule_steps > 1 else 1.0


def value_at(value: Gamma, progress: float) -> float:
    """Return the value of a number or a schedule at `progress` in [0, 1].

    That of an automatic gamma is its start; afterwards its controller moves it.
    """
    if isinstance(value, AutoGamma):
        return value.start
    if not isinstance(value, Schedule):
        return float(value)
    fraction = min(1.0, progress / value.fraction) if value.fraction > 0 else 1.0
    warm = min(1.0, progress / value.warmup) if value.warmup > 0 else 1.0
    return warm * SHAPES[value.shape](value.start, value.end, fraction)


def check_schedule(name: str, value: Gamma, below: float = math.inf) -> None:
    """Raise ValueError in one line unless the value stays in [0, below) on a known shape."""
    if isinstance(value, AutoGamma):
        return  # checked when it was made
    if not isinstance(value, Schedule):
        ends = [float(value)]
    else:
        ends = [value.start, value.end]
        if value.shape not in SHAPES:
            shapes = ", ".join(SHAPES)
            raise ValueError(f"shape of {name} must be one of {shapes}; got {value.shape!r}")
        if not 0 <= value.warmup < 1:
            raise ValueError(
                f"warmup of {name} must be a part of the run, from 0 to below 1; got {value.warmup}"
            )
        if value.shape == "exponential" and value.start * value.end <= 0:
            raise ValueError(
                f"exponential {name} must not start, end at or cross zero; got {value}"
            )
    if not all(0 <= end < below for end in ends):
        limit = "a finite number, 0 or more" if below == math.inf else f"0 or more, below {below:g}"
        raise ValueError(f"{name} must be {limit}; got {value}")


def with_burn_in(recipe: Recipe) -> Recipe:
    """Return the recipe with its plain numbers turned into R3GAN's burn-in, where it asks for one.

    Over the first `burn_in` of the run a cosine takes the learning rates to a quarter and every
    gamma to a tenth. It takes Adam's beta2 from .9, and the EMA half-life from 0, to the recipe's
    values. A Schedule and an automatic gamma stay as they are.

    Source: Huang et al. 2024 (R3GAN), appendix; the numbers are those of its presets.
    """
    fraction = recipe.burn_in
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
        penalties={
            name: gamma if isinstance(gamma, AutoGamma) else decay(gamma, 10)
            for name, gamma in recipe.penalties.items()
        },
        beta2=ramp_up(recipe.beta2, 0.9),
        ema_halflife_samples=ramp_up(recipe.ema_halflife_samples, 0.0),
    )


LR, GAMMA, BETA1, BETA2, EMA_HALFLIFE = (
    "lr/",  # + generator, discriminator or likelihood
    "gamma/",  # + the name of the penalty
    "adam/beta1",
    "adam/beta2",
    "ema/halflife_samples",
)
TERM_WEIGHT = "weight/"  # + the name of the term
LIKELIHOOD_WEIGHT = TERM_WEIGHT + "likelihood"


def has_own_optimizer(recipe: Recipe, network: str) -> bool:
    """Check that the recipe has an optimizer of its own for a network."""
    if isinstance(recipe.optimizer, Mapping):
        return network in recipe.optimizer
    return recipe.optimizer is not None


def _first_value(value: Gamma) -> float:
    """Return where a value begins, whatever its warm-up."""
    return value_at(replace(value, warmup=0.0) if isinstance(value, Schedule) else value, 0.0)


def scheduled_values(recipe: Recipe, progress: float) -> dict[str, float]:
    """Return the numbers of the adversarial stage that a schedule may move, by their log keys."""
    return {name: value_at(value, progress) for name, value in _movable(recipe).items()}


def _movable(recipe: Recipe) -> dict[str, Gamma]:
    rates = {"generator": recipe.generator_lr, "discriminator": recipe.discriminator_lr}
    own = {name for name in rates if has_own_optimizer(recipe, name)}
    betas = {} if len(own) == len(rates) else {BETA1: recipe.beta1, BETA2: recipe.beta2}
    values: dict[str, Gamma] = {
        **{f"{LR}{n}": r for n, r in rates.items() if n not in own or isinstance(r, Schedule)},
        **{f"{GAMMA}{name}": gamma for name, gamma in recipe.penalties.items()},
        **{f"{TERM_WEIGHT}{name}": term.weight for name, term in recipe.losses.items()},
        **betas,
        EMA_HALFLIFE: recipe.ema_halflife_samples,
    }
    if recipe.likelihood_weight != 0:
        values[LIKELIHOOD_WEIGHT] = recipe.likelihood_weight
    return values


def schedule_ends(recipe: Recipe) -> dict[str, list[float]]:
    """Return [start, end] of every number of a run that may move, by its log key.

    Annealed values of the generator and the augmentation are among them; both are at their start
    afterwards. The start is that of the schedule, not of its warm-up.
    """
    recipe = with_burn_in(recipe)
    movable: dict[str, Gamma] = {}
    if recipe.likelihood_steps:
        movable[f"{LR}likelihood"] = recipe.likelihood_lr
    movable |= _movable(recipe)
    starts = {name: _first_value(value) for name, value in movable.items()}
    ends = {name: value_at(value, 1.0) for name, value in movable.items()}
    for component in (recipe.generator, recipe.augment):
        if isinstance(component, SupportsAnnealing):
            ends |= component.anneal(1.0)
            starts |= component.anneal(0.0)
    return {name: [start, ends[name]] for name, start in starts.items()}


def apply_schedules(
    recipe: Recipe,
    optimizers: Mapping[str, optim.Optimizer],
    generator: Generator,
    progress: float,
    lr_scale: float = 1.0,
) -> dict[str, Any]:
    """Set this step's learning rates and betas, anneal the generator; return what to log.

    `lr_scale` multiplies the recipe's learning rates.
    """
    values: dict[str, Any] = {**scheduled_values(recipe, progress)}
    for name, optimizer in optimizers.items():
        key, own = f"{LR}{name}", has_own_optimizer(recipe, name)
        for group in optimizer.param_groups:
            rate = values.get(key, group.setdefault("initial_lr", group["lr"]))
            group["lr"] = lr_scale * rate
            if not own:
                group["betas"] = (values[BETA1], values[BETA2])
        values[key] = optimizer.param_groups[0]["lr"]
    if isinstance(generator, SupportsAnnealing):
        values |= generator.anneal(progress)
    return values


def penalty_weights(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of the penalties in an update that has them; zero weights are left out.

    `values` are those of `scheduled_values`, and 0-dim tensors of automatic gammas, which are never
    zero. A lazy penalty is as many times as strong as its interval.
    """
    return {
        name: recipe.penalty_interval * gamma
        for name in recipe.penalties
        if isinstance(gamma := values[GAMMA + name], Tensor) or gamma > 0
    }
