"""Check that the components of a recipe fit together before training starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from multigan.core.protocols import SupportsLikelihood
from multigan.core.recipe import Recipe, Schedule
from multigan.engine.schedules import check_schedule, has_own_optimizer
from multigan.engine.terms import NETWORKS, check_terms


def check_recipe(recipe: Recipe) -> None:
    """Raise ValueError, in one line, for numbers that a run cannot have."""
    for name in (
        "steps",
        "batch_size",
        "discriminator_steps",
        "penalty_interval",
        "gradient_accumulation_steps",
    ):
        if (count := getattr(recipe, name)) < 1:
            raise ValueError(f"{name} must be 1 or more; got {count}")
    if recipe.batch_size % recipe.gradient_accumulation_steps:
        raise ValueError(
            f"batch_size must be a multiple of gradient_accumulation_steps "
            f"{recipe.gradient_accumulation_steps}; got {recipe.batch_size}"
        )
    for name in ("generator_lr", "discriminator_lr", "ema_halflife_samples"):
        check_schedule(name, getattr(recipe, name))
    for name in ("beta1", "beta2"):  # at 1 Adam's bias correction divides by zero
        check_schedule(name, getattr(recipe, name), below=1)
    for name, gamma in recipe.penalties.items():
        check_schedule(f"gamma of {name}", gamma)
    if recipe.lookahead_interval < 0:
        raise ValueError(
            f"lookahead_interval must be 0 or more steps; got {recipe.lookahead_interval}"
        )
    if not 0 < recipe.lookahead_alpha <= 1:
        raise ValueError(f"lookahead_alpha must be in (0, 1]; got {recipe.lookahead_alpha}")
    if recipe.max_grad_norm is not None and not recipe.max_grad_norm > 0:
        raise ValueError(f"max_grad_norm must be positive or None; got {recipe.max_grad_norm}")
    check_likelihood(recipe)
    check_terms(recipe.losses)
    check_optimizer(recipe)
    if not 0 <= recipe.burn_in <= 1:
        raise ValueError(f"burn_in must be a fraction of the run in [0, 1]; got {recipe.burn_in}")


def check_optimizer(recipe: Recipe) -> None:
    """Raise ValueError, in one line, for numbers that an optimizer of the recipe would not use."""
    named = set(recipe.optimizer) if isinstance(recipe.optimizer, Mapping) else set()
    if unknown := named - set(NETWORKS):
        raise ValueError(f"optimizer must be of {' or '.join(NETWORKS)}; got {sorted(unknown)}")
    own = [name for name in NETWORKS if has_own_optimizer(recipe, name)]
    unused = [f"{name}_lr" for name in own] + (["beta1", "beta2"] if len(own) == 2 else [])
    defaults = {item.name: item.default for item in fields(Recipe)}
    for name in unused:
        value = getattr(recipe, name)
        is_rate = name.endswith("_lr")
        if value != defaults[name] and not (is_rate and isinstance(value, Schedule)):
            fix = ", or give a Schedule" if is_rate else ""
            raise ValueError(f"{name} must be set by the optimizer of the recipe{fix}; got {value}")
    if own and recipe.burn_in:
        raise ValueError(
            f"burn_in must be 0 with an optimizer of the recipe; got {recipe.burn_in}: give "
            "Schedules"
        )


def check_likelihood(recipe: Recipe) -> None:
    """Raise ValueError, in one line, for impossible likelihood pretraining or regularization."""
    if recipe.likelihood_steps < 0:
        raise ValueError(f"likelihood_steps must be 0 or more; got {recipe.likelihood_steps}")
    if recipe.likelihood_patience is not None and recipe.likelihood_patience < 1:
        raise ValueError(
            f"likelihood_patience must be 1 or more, or None; got {recipe.likelihood_patience}"
        )
    check_schedule("likelihood_lr", recipe.likelihood_lr)
    check_schedule("likelihood_weight", recipe.likelihood_weight)
    is_used = recipe.likelihood_steps > 0 or recipe.likelihood_weight != 0
    if is_used and not isinstance(recipe.generator, SupportsLikelihood):
        name = type(recipe.generator).__name__
        raise ValueError(
            f"the generator must have log_likelihood; got {name}: "
            "set likelihood_steps and likelihood_weight to 0"
        )
