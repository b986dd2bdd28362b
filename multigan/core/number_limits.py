"""Limits of the numbers that a user gives: hyperparameters, flags, options of commands.

They keep a typing error from a division by zero, an endless computation or all of the memory; what
fits together is checked where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from multigan.core.serialization import domain_table, domains

MAX_NUMBER = 1_000_000_000  # of any number without limits of its own
MAX_SEED = 2**63 - 1  # seeds are hashed: negative ones too
POSITIVE = 1e-9

# Name -> the smallest and the largest value, of what every domain has: training and commands. A
# domain declares those of its own recipes, samplers and commands as NUMBER_LIMITS.
LIMITS: dict[str, tuple[float, float]] = {
    # training
    "batch_size": (1, 1_000_000),
    "burn_in": (0.0, 1.0),
    "discriminator_steps": (1, 1000),
    "ema_halflife_samples": (1, MAX_NUMBER),
    "gradient_accumulation_steps": (1, 1_000_000),
    "likelihood_lr": (0.0, 1e30),
    "lr": (0.0, 1e30),  # large ones diverge, which training reports
    "steps": (1, MAX_NUMBER),
    "log_every": (1, MAX_NUMBER),
    "num_workers": (0, 1024),
    "patience": (1, MAX_NUMBER),
    "sample_every": (1, MAX_NUMBER),
    "save_every": (1, MAX_NUMBER),
    # networks
    "depth": (1, 1000),
    "dropout": (0.0, 0.99),
    "latent_dim": (0, 1_000_000),
    "width": (1, 16_384),
    # commands
    "num_paths": (1, 10_000),
    "num_samples": (1, 1_000_000),
    "num_steps": (2, 10_000),
    "port": (0, 65_535),
}


def check_number(name: str, value: Any, is_ours: bool = True) -> None:
    """Raise ValueError, in one line that names the option, for a number outside its limits.

    Anything but an int or a float passes. Options without limits of their own may be negative
    unless they are ours: those of other recipes and domains.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high = _limits(name, is_ours)
    if low <= value <= high:
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number; got {value}")
    limit = f"at most {_number(high)}" if value > high else f"{_number(low)} or more"
    limit = "above 0" if low == POSITIVE and value < low else limit
    shown = str(value) if len(str(value)) <= 40 else f"a number of {len(str(value))} digits"
    raise ValueError(f"{name} must be {limit}; got {shown}")


def check_numbers(values: Mapping[str, Any], is_ours: bool = True) -> None:
    """Check every number of options by name. Raises ValueError as `check_number`."""
    for name, value in values.items():
        check_number(name, value, is_ours)


def _limits(name: str, is_ours: bool) -> tuple[float, float]:
    """The limits of an option; those of the other end of an interpolation are the same."""
    name = name.removeprefix("to_")
    if name.endswith("seed"):
        return -MAX_SEED, MAX_SEED
    return number_limits().get(name, (0 if is_ours else -MAX_NUMBER, MAX_NUMBER))


def number_limits() -> dict[str, tuple[float, float]]:
    """Return the limits of every named option: those of all domains and, before them, LIMITS."""
    found: dict[str, Any] = {}
    for domain in domains():
        found |= domain_table(domain, "NUMBER_LIMITS")
    return found | LIMITS


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
