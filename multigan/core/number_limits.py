"""Limits of the numbers that a user gives: hyperparameters, flags, options of commands.

They keep a typing error from a division by zero, an endless computation or all of the memory; what
fits together is checked where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_NUMBER = 1_000_000_000  # of any number without limits of its own
MAX_SEED = 2**63 - 1  # seeds are hashed: negative ones too
POSITIVE = 1e-9

# Name -> the smallest and the largest value.
LIMITS: dict[str, tuple[float, float]] = {
    # counts of what there must be
    "batch_size": (1, 1_000_000),
    "depth": (1, 1000),
    "discriminator_steps": (1, 1000),
    "filters": (1, 16_384),
    "gradient_accumulation_steps": (1, 1_000_000),
    "latent_dim": (1, 1_000_000),
    "latent_size": (1, 1_000_000),
    "length": (2, 100_000),
    "lines": (1, 10_000_000),
    "num_representations": (1, 1000),
    "num_samples": (1, 1_000_000),
    "per_class": (1, 1_000_000),
    "resolution": (1, 16_384),
    "steps": (1, MAX_NUMBER),
    "vocabulary_size": (5, 1_000_000),
    "voice_width": (1, 16_384),
    "width": (1, 16_384),
    "ema_halflife_samples": (1, MAX_NUMBER),
    "log_every": (1, MAX_NUMBER),
    "sample_every": (1, MAX_NUMBER),
    "save_every": (1, MAX_NUMBER),
    "patience": (1, MAX_NUMBER),
    # of commands
    "bars": (1, 1000),
    "n": (1, 1_000_000),
    "num_paths": (1, 10_000),
    "num_steps": (2, 10_000),
    "points": (2, 1000),
    "repeats": (1, 1000),
    "port": (0, 65_535),
    "num_workers": (0, 1024),
    # fractions and sizes
    "aspect": (0.01, 100.0),
    "augment_p": (0.0, 1.0),
    "burn_in": (0.0, 1.0),
    "dropout": (0.0, 0.99),
    "fourier_octaves": (0, 30),
    "lowest": (POSITIVE, 1000.0),
    "highest": (POSITIVE, 1000.0),
    "inverse_temperature": (POSITIVE, 1e6),
    "lr": (0.0, 1e30),  # large ones diverge, which training reports
    "likelihood_lr": (0.0, 1e30),
    "synthetic_fraction": (0.0, 1.0),
    "temperature": (0.0, 1e6),
    "tempo": (POSITIVE, 10_000.0),
    "top_k": (0, MAX_NUMBER),
    "top_p": (POSITIVE, 1.0),
    "truncation": (0.0, 1000.0),
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
    return LIMITS.get(name, (0 if is_ours else -MAX_NUMBER, MAX_NUMBER))


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
