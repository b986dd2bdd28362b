"""The Recipe: all that one experiment is, as data that survives JSON.

Numbers that may change during a run are given as a number (constant, or the start of the default
burn-in) or as a `Schedule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from types import ModuleType
from typing import Any

from multigan.core.protocols import Augment, Dataset, Discriminator, Generator
from multigan.core.serialization import from_config, to_config


@dataclass(frozen=True)
class Schedule:
    """A value that moves from `start` to `end` over the first `until` (share) of a run.

    `shape` is a key of `multigan.engine.schedules.SHAPES`: cosine, linear, exponential.
    """

    start: float
    end: float
    fraction: float = 1.0
    shape: str = "cosine"


Value = float | Schedule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Data, networks and the game they play. `batch_size` counts all processes together."""

    data: Dataset
    generator: Generator
    discriminator: Discriminator
    steps: int  # of the adversarial stage: one generator update each
    batch_size: int
    loss: str = "relativistic"  # a key of multigan.engine.losses.LOSSES
    penalties: Mapping[str, Value] = field(default_factory=dict)  # PENALTIES name -> gamma
    # Lazy: at every k-th update of D, k times as strong. They join that update, so Adam makes as
    # many updates as without: StyleGAN2's further correction of its rates, for the extra updates
    # that it spends on penalties, has nothing to correct here.
    penalty_interval: int = 1
    discriminator_steps: int = 1  # updates of D per update of G
    generator_lr: Value = 2e-4
    discriminator_lr: Value = 2e-4
    beta1: Value = 0.0  # Adam
    beta2: Value = 0.99
    ema_halflife_samples: Value = 10_000
    burn_in: float | None = None  # share of the run; None: the loss's own (engine/schedules.py)
    # Every so many steps both networks go back to a mean of where they are, by this share, and of
    # where they were (engine/lookahead.py): for games that circle. 0: never.
    lookahead_interval: int = 0
    lookahead_alpha: float = 0.5
    gradient_accumulation_steps: int = 1  # micro-batches per update
    max_grad_norm: float | None = None  # largest gradient norm; None: no clipping
    augment: Augment | None = None  # in front of D
    # The stage before the game, for a generator with `log_likelihood`; 0 steps: none.
    likelihood_steps: int = 0  # at most: it ends with the weights that are best on held-out samples
    likelihood_lr: Value = 1e-3
    likelihood_patience: int | None = None  # epochs in turn without a better one; None: all steps
    evaluate_during_likelihood: bool = False  # by the domain too, as often as the game is
    likelihood_weight: Value = 0.0  # in the game, of minus the log-likelihood of a real sample


# What the fields of a stranger's recipe.json may be.
NUMERIC_TYPES = {"int": int, "float": int | float, "str": str, "bool": bool,
           "Value": int | float | Schedule}  # fmt: skip
REQUIRED_ATTRIBUTES = {"Dataset": "fingerprint", "Generator": "sample_latent",
         "Discriminator": "forward",
         "Augment": "__call__"}  # fmt: skip


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Everything that rebuilds the recipe, as JSON values."""
    return {item.name: _to_json(getattr(recipe, item.name)) for item in fields(recipe)}


def recipe_from_json(values: Mapping[str, Any], trusted: ModuleType | None = None) -> Recipe:
    """The inverse of `recipe_to_json`; networks come back with fresh weights.

    Raises ValueError for unknown fields or parts.
    """
    known = [item.name for item in fields(Recipe)]  # in this order fresh weights are drawn
    if unknown := set(values) - set(known):
        raise ValueError(f"recipe.json has unknown fields {sorted(unknown)}; another version's?")
    if missing := [item.name for item in fields(Recipe) if _is_required(item, values)]:
        raise ValueError(f"recipe.json is damaged: it lacks {', '.join(missing)}")
    found = {key: _from_json(values[key], trusted) for key in known if key in values}
    for item in fields(Recipe):
        if item.name in found and not _fits(item, found[item.name]):
            raise ValueError(f"recipe.json is damaged: its {item.name} is no {item.type}")
    return Recipe(**found)


def _is_required(item: Field, values: Mapping[str, Any]) -> bool:
    return item.name not in values and item.default is item.default_factory is MISSING


def _fits(item: Field, value: Any) -> bool:
    """Whether a value may stand in a field: by its type, a part by what is asked of it."""
    kind, _, absent = str(item.type).partition(" | ")
    if value is None or kind.startswith("Mapping"):
        return bool(absent) if value is None else _fits_mapping(value)
    if kind in REQUIRED_ATTRIBUTES:
        return hasattr(value, REQUIRED_ATTRIBUTES[kind])
    return isinstance(value, NUMERIC_TYPES[kind]) and (kind == "bool") == isinstance(value, bool)


def _fits_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(v, NUMERIC_TYPES["Value"]) for v in value.values()
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, Schedule):
        return {"schedule": {item.name: getattr(value, item.name) for item in fields(value)}}
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    return to_config(value)


def _from_json(value: Any, trusted: ModuleType | None) -> Any:
    if isinstance(value, dict) and "schedule" in value:
        return _schedule(value["schedule"])
    if isinstance(value, dict) and "component" not in value:
        return {key: _from_json(item, trusted) for key, item in value.items()}
    return from_config(value, trusted)


def _schedule(stated: Any) -> Schedule:
    """A schedule; ValueError where it is none."""
    kinds = {"start": int | float, "end": int | float, "fraction": int | float, "shape": str}
    if not isinstance(stated, dict) or not {"start", "end"} <= stated.keys() <= kinds.keys():
        raise ValueError("recipe.json is damaged: a schedule has a start and an end")
    if wrong := [name for name, value in stated.items() if not isinstance(value, kinds[name])]:
        raise ValueError(f"recipe.json is damaged: the {wrong[0]} of a schedule is no number")
    return Schedule(**stated)
