"""Check that the parts of a recipe fit together before training starts."""

from __future__ import annotations

from multigan.core.recipe import Recipe
from multigan.engine.schedules import check_schedule


def check_recipe(recipe: Recipe) -> None:
    """Raise ValueError, in one line, for numbers that no run can have."""
    for name in (
        "steps",
        "batch_size",
        "discriminator_steps",
        "penalty_interval",
        "gradient_accumulation_steps",
    ):
        if getattr(recipe, name) < 1:
            raise ValueError(f"{name} is {getattr(recipe, name)}; wanted 1 or more")
    if recipe.batch_size % recipe.gradient_accumulation_steps:
        raise ValueError(
            f"batch_size {recipe.batch_size} cannot be cut into "
            f"{recipe.gradient_accumulation_steps} equal micro-batches; "
            "change batch_size or gradient_accumulation_steps"
        )
    for name in ("generator_lr", "discriminator_lr", "ema_halflife_samples"):
        check_schedule(name, getattr(recipe, name))
    for name in ("beta1", "beta2"):  # at 1 Adam's bias correction divides by zero
        check_schedule(name, getattr(recipe, name), below=1)
    for name, gamma in recipe.penalties.items():
        check_schedule(f"gamma of {name}", gamma)
    if recipe.lookahead_interval < 0:
        raise ValueError(
            f"lookahead_interval is {recipe.lookahead_interval}; wanted steps, 0 for none"
        )
    if not 0 < recipe.lookahead_alpha <= 1:
        raise ValueError(f"lookahead_alpha is {recipe.lookahead_alpha}; wanted 0 to 1, 0 left out")
    if recipe.max_grad_norm is not None and not recipe.max_grad_norm > 0:
        raise ValueError(f"clip_norm is {recipe.max_grad_norm}; wanted more than 0, or None")
    check_likelihood(recipe)
    if recipe.burn_in is not None and not 0 <= recipe.burn_in <= 1:
        raise ValueError(f"burn_in is {recipe.burn_in}; wanted a share of the run, 0 to 1")


def check_likelihood(recipe: Recipe) -> None:
    """Raise ValueError, in one line, for what no likelihood stage or term can be made of."""
    if recipe.likelihood_steps < 0:
        raise ValueError(f"likelihood_steps is {recipe.likelihood_steps}; wanted 0 or more")
    if recipe.likelihood_patience is not None and recipe.likelihood_patience < 1:
        raise ValueError(
            f"likelihood_patience is {recipe.likelihood_patience}; wanted 1 or more, or None"
        )
    check_schedule("likelihood_lr", recipe.likelihood_lr)
    check_schedule("likelihood_weight", recipe.likelihood_weight)
    wanted = recipe.likelihood_steps > 0 or recipe.likelihood_weight != 0
    if wanted and not hasattr(recipe.generator, "log_likelihood"):
        name = type(recipe.generator).__name__
        raise ValueError(
            f"{name} has no log_likelihood: set likelihood_steps and likelihood_weight to 0"
        )
