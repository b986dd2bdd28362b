"""The Recipe: the definition of one experiment, as data that survives JSON.

Numbers that may change during a run are given as a number, which is constant unless the recipe has
a `burn_in`, or as a `Schedule`.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from numbers import Integral, Real
from types import ModuleType, NoneType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.core.adapters import (
    LatentShape,
    as_dataset,
    as_discriminator,
    as_generator,
)
from multigan.core.network_check import check_fit, check_networks
from multigan.core.protocols import (
    Augment,
    Condition,
    Dataset,
    Discriminator,
    Generator,
    Latent,
)
from multigan.core.serialization import (
    first_difference,
    from_config,
    is_component,
    to_config,
)


@dataclass(frozen=True)
class Schedule:
    """A value that moves from `start` to `end` over the first `fraction` of a run.

    `shape` is a key of `multigan.engine.schedules.SHAPES`: cosine, linear, exponential. Over the
    first `warmup` of the run the value is multiplied by a factor that rises linearly from 0 to 1.
    """

    start: float
    end: float
    fraction: float = 1.0
    shape: str = "cosine"
    warmup: float = 0.0


Value = float | Schedule
# What the adapters accept as a Dataset, a Generator and a Discriminator; a recipe holds the latter.
DataLike = Any
GeneratorLike = Any
DiscriminatorLike = Any
AUTO = "auto"


@dataclass(frozen=True)
class AutoGamma:
    """A gamma that a controller moves during training, from `start`.

    It keeps the discriminator's loss at the mean logits within .2 of `target`, and from .05 to .95,
    in units of its value at chance; see `multigan.engine.gamma_controller`. Raises ValueError for
    values out of range.
    """

    target: float = 0.7
    start: float = 0.1

    def __post_init__(self) -> None:
        if not 0.1 <= self.target <= 0.9:
            raise ValueError(f"target must be .1 to .9, a part of chance; got {self.target}")
        if not 0 < self.start < math.inf:
            raise ValueError(f"start must be a positive gamma; got {self.start}")


Gamma = Value | AutoGamma


def read_gamma(text: str) -> float | AutoGamma:
    """Return the gamma that a hyperparameter states: a number, 0 or more, or auto.

    Raises ValueError for any other string.
    """
    if text == AUTO:
        return AutoGamma()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"gamma must be a number, 0 or more, or {AUTO}; got {text!r}")
    return number


LossLike = Any
OptimizerLike = Any


@dataclass(frozen=True)
class TermInputs:
    """Inputs of a term of a loss, in one update of its network.

    `fake` carries the generator's graph in a term of the generator, and none in one of the
    discriminator. The networks are those that the caller passed; the one that is not updated is
    frozen. `rng` is a stream of this update; `progress` the fraction of the run in [0, 1].
    """

    real: Tensor
    fake: Tensor
    condition: Condition
    latent: Latent
    generator: Any
    discriminator: Any
    rng: torch.Generator
    progress: float


@dataclass(frozen=True)
class Term:
    """A term of the loss of one network: `weight` times the mean of function(inputs).

    It is logged as `loss/NAME`, without its weight, which is logged as `weight/NAME`.
    """

    function: Callable[[TermInputs], Tensor]
    weight: Value = 1.0
    network: str = "generator"  # or discriminator


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Data, networks and hyperparameters of one training.

    `batch_size` is the global batch size, over all processes. Plain data and plain modules are
    adapted by `multigan.core.adapters`; a generator without `sample_latent` needs `latent_dim`.
    Adapted networks are tried on a few samples. Raises ValueError, in one line, where they misfit.
    """

    data: DataLike
    generator: GeneratorLike
    discriminator: DiscriminatorLike
    steps: int  # of the adversarial stage: one generator update each
    batch_size: int
    latent_dim: LatentShape | None = None  # of a plain module: its latents are (n, *latent_dim)
    # A key of multigan.engine.losses.LOSSES; or a function of the logits (B, L) of reals and fakes
    # that returns the losses of D and G, each of every logit or a mean; or an AdversarialLoss.
    loss: LossLike = "relativistic"
    # PENALTIES name -> gamma. A Term of D, or its function, is a penalty too, at each update.
    penalties: Mapping[str, Gamma] = field(default_factory=dict)
    # Further terms of either network by name; a function is a Term of the generator of weight 1.
    losses: Mapping[str, Term] = field(default_factory=dict)
    # A function of the parameters that returns an optimizer, or one for each network by name; its
    # learning rate stays, unless generator_lr or discriminator_lr is a Schedule. None: Adam.
    optimizer: OptimizerLike | None = None
    # Lazy regularization: at every k-th update of D, k times as strong. Penalties join that update,
    # so Adam makes no extra updates and needs none of StyleGAN2's corrections of its rates.
    penalty_interval: int = 1
    discriminator_steps: int = 1  # updates of D per update of G
    generator_lr: Value = 2e-4
    discriminator_lr: Value = 2e-4
    beta1: Value = 0.0  # Adam
    beta2: Value = 0.99
    ema_halflife_samples: Value = 10_000
    # Fraction of the run with R3GAN's burn-in; 0: none. In it plain numbers move, by a cosine:
    # learning rates to a quarter, gammas to a tenth, beta2 from .9 and the EMA half-life from 0.
    burn_in: float = 0.0
    # Lookahead: every so many steps both networks move to the average of their weights (by
    # `lookahead_alpha`) and those at the last such step; damps oscillation. 0: never.
    lookahead_interval: int = 0
    lookahead_alpha: float = 0.5
    gradient_accumulation_steps: int = 1  # micro-batches per update
    max_grad_norm: float | None = None  # largest gradient norm; None: no clipping
    augment: Augment | None = None  # in front of D
    # Likelihood pretraining, for a generator with `log_likelihood`; 0 steps: none.
    likelihood_steps: int = 0  # at most; ends with the weights of the best validation NLL
    likelihood_lr: Value = 1e-3
    likelihood_patience: int | None = None  # epochs without improvement; None: all steps
    evaluate_during_likelihood: bool = False  # by the domain too, at every checkpoint
    likelihood_weight: Value = 0.0  # of the NLL of real samples, in the adversarial stage

    def __post_init__(self) -> None:
        _check_names(self.penalties, self.losses)
        own = {k: v for k, v in self.penalties.items() if callable(v) or isinstance(v, Term)}
        terms = {
            **{name: _as_term(name, v, "generator") for name, v in self.losses.items()},
            **{name: _as_term(name, v, "discriminator") for name, v in own.items()},
        }
        gammas = {
            name: _as_number(f"gamma of {name}", value, GAMMA_KIND)
            for name, value in self.penalties.items()
            if name not in own
        }
        changed: dict[str, Any] = {"losses": terms, "penalties": gammas}
        for item in fields(self):
            if str(item.type) in NUMBERS:
                value = getattr(self, item.name)
                changed[item.name] = _as_number(item.name, value, NUMBERS[str(item.type)])
        given = (self.data, self.generator, self.discriminator)
        adapted = (
            as_dataset(self.data),
            as_generator(self.generator, self.latent_dim),
            as_discriminator(self.discriminator),
        )
        changed |= dict(zip(("data", "generator", "discriminator"), adapted, strict=True))
        for name, value in changed.items():
            object.__setattr__(self, name, value)
        check_networks(self.generator, self.discriminator)
        if any(new is not old for new, old in zip(adapted, given, strict=True)):
            for note in check_fit(*adapted, self.loss, bool(gammas)):
                warnings.warn(note, stacklevel=3)


class NumberKind(NamedTuple):
    """A kind of field: its numbers, values of other types, and both in words."""

    number: type | tuple[()]
    others: tuple[type, ...]
    words: str


REAL = NumberKind(Real, (), "a number")
VALUE = NumberKind(Real, (Schedule,), "a number or a Schedule")
GAMMA_KIND = NumberKind(Real, (Schedule, AutoGamma), "a number, a Schedule or an AutoGamma")
NUMBERS = {  # by annotation
    "bool": NumberKind((), (bool,), "True or False"),
    "int": NumberKind(Integral, (), "an integer"),
    "int | None": NumberKind(Integral, (NoneType,), "an integer or None"),
    "float": REAL,
    "float | None": NumberKind(Real, (NoneType,), "a number or None"),
    "Value": VALUE,
}


def _check_names(penalties: Any, losses: Any) -> None:
    """Raise ValueError, in one line, unless both are dictionaries without a term in common."""
    for name, given, of in (("penalties", penalties, "gammas"), ("losses", losses, "Terms")):
        if not isinstance(given, Mapping):
            kind = getattr(given, "__name__", type(given).__name__)
            raise ValueError(
                f"{name} must be a dictionary, name -> {of} or functions; got {kind}: write "
                f'{name}={{"name": ...}}'
            )
    own = [name for name, v in penalties.items() if callable(v) or isinstance(v, Term)]
    same = [name for name in own if name in losses]
    if same:
        raise ValueError(
            f"terms of both networks must have different names; got {same[0]!r} in penalties and "
            "losses: rename one"
        )


def _as_term(name: str, value: Any, network: str) -> Any:
    term = Term(value, network=network) if callable(value) else value
    if not isinstance(term, Term):
        raise ValueError(
            f"the term {name} must be a function or a Term of one; got a {type(term).__name__}"
        )
    return replace(term, weight=_as_number(f"weight of the term {name}", term.weight, VALUE))


def _as_number(name: str, value: Any, kind: NumberKind) -> Any:
    """Return a number as an int or a float, those of numpy too, or another value of its kind.

    Raises ValueError, in one line, for anything else.
    """
    if isinstance(value, Schedule) and Schedule in kind.others:
        parts = ("start", "end", "fraction", "warmup")
        numbers = {part: _as_number(f"{part} of {name}", vars(value)[part], REAL) for part in parts}
        return replace(value, **numbers)
    if isinstance(value, kind.others):
        return value
    if not isinstance(value, kind.number) or isinstance(value, bool):
        raise ValueError(f"{name} must be {kind.words}; got {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)  # type: ignore[arg-type]


# How a value that is not a number is written in recipe.json, by the key of its only entry.
STATED: dict[str, type[Schedule] | type[AutoGamma]] = {
    "schedule": Schedule,
    "auto_gamma": AutoGamma,
}

# The types of the fields of an untrusted recipe.json, by annotation.
FIELD_TYPES: dict[str, Any] = {
    **{"int": int, "float": int | float, "str": str, "bool": bool},
    **{"Value": int | float | Schedule, "DataLike": Dataset, "GeneratorLike": Generator},
    **{"DiscriminatorLike": Discriminator, "Augment": Callable, "LatentShape": int | tuple},
    **{"LossLike": str | tuple | Callable, "OptimizerLike": Mapping | Callable, "Term": Term},
    "Gamma": int | float | Schedule | AutoGamma,
}


def recipe_to_json(recipe: Recipe, *, of_caller: bool = False) -> dict[str, Any]:
    """The recipe as JSON values, from which it can be rebuilt.

    With `of_caller` it may have objects of the caller, which cannot. Raises ValueError for them.
    """
    return {name: _to_json(value, of_caller) for name, value in _values(recipe).items()}


def check_same_recipe(recipe: Recipe, stored: Mapping[str, Any], run: str) -> None:
    """Raise ValueError, in one line, unless a recipe is the stored one but for its steps.

    Objects of the caller are compared by their class, their size and the code of functions.
    """
    given = json.loads(json.dumps(recipe_to_json(recipe, of_caller=True)))
    for name, value in stored.items():
        stated = _with_defaults(value)
        found = None if name == "steps" else first_difference(stated, given.get(name))
        if found is not None:
            raise ValueError(
                f"{name} of the recipe must be as in the first training of {run}, {found[0]}; got "
                f"{found[1]}"
            )


def _with_defaults(value: Any) -> Any:
    """Fill in the fields of schedules that an earlier version of this package did not have."""
    if isinstance(value, list):
        return [_with_defaults(part) for part in value]
    if not isinstance(value, dict):
        return value
    filled = {key: _with_defaults(part) for key, part in value.items()}
    for key, kind in STATED.items():
        if set(value) == {key} and isinstance(value[key], dict):
            defaults = {f.name: f.default for f in fields(kind) if f.default is not MISSING}
            return {key: defaults | filled[key]}
    return filled


def recipe_from_json(values: Mapping[str, Any], trusted: ModuleType | None = None) -> Recipe:
    """The inverse of `recipe_to_json`; networks come back with fresh weights.

    Raises ValueError for unknown fields or components.
    """
    known = [item.name for item in fields(Recipe)]  # the order in which weights are initialized
    if unknown := set(values) - set(known):
        raise ValueError(
            f"recipe.json has unknown fields {sorted(unknown)}; was it written by another version?"
        )
    if missing := [item.name for item in fields(Recipe) if _is_required(item, values)]:
        raise ValueError(f"recipe.json is damaged: missing {', '.join(missing)}")
    found = {key: _from_json(values[key], trusted) for key in known if key in values}
    for item in fields(Recipe):
        if item.name in found and not _fits(item, found[item.name]):
            kind = type(found[item.name]).__name__
            raise ValueError(
                f"recipe.json is damaged: {item.name} must be of type {item.type}; got {kind}"
            )
    return Recipe(**found)


def _is_required(item: Field[Any], values: Mapping[str, Any]) -> bool:
    return item.name not in values and item.default is item.default_factory is MISSING


def _fits(item: Field[Any], value: Any) -> bool:
    """Check the type of a field's value; components are checked against their protocol."""
    kind, _, absent = str(item.type).partition(" | ")
    if value is None or kind.startswith("Mapping"):
        return bool(absent) if value is None else _fits_mapping(value, kind)
    return isinstance(value, FIELD_TYPES[kind]) and (kind == "bool") == isinstance(value, bool)


def _fits_mapping(value: Any, kind: str) -> bool:
    expected = FIELD_TYPES[kind.removeprefix("Mapping[str, ").removesuffix("]")]
    return isinstance(value, dict) and all(isinstance(v, expected) for v in value.values())


def _values(instance: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, not copied, unlike those of `asdict`."""
    return {item.name: getattr(instance, item.name) for item in fields(instance)}


def _to_json(value: Any, of_caller: bool) -> Any:
    for key, kind in STATED.items():
        if isinstance(value, kind):
            return {key: _values(value)}
    if isinstance(value, Term):
        return {"term": {k: _to_json(item, of_caller) for k, item in _values(value).items()}}
    if isinstance(value, Mapping) and not is_component(value):
        return {key: _to_json(item, of_caller) for key, item in value.items()}
    return to_config(value, of_caller=of_caller)


def _from_json(value: Any, trusted: ModuleType | None) -> Any:
    if isinstance(value, dict) and (key := next((key for key in STATED if key in value), None)):
        return _stated(key, value[key])
    if isinstance(value, dict) and value.keys() == {"term"}:
        return _term(value["term"], trusted)
    if isinstance(value, dict) and not value.keys() & {"component", "function"}:
        return {key: _from_json(item, trusted) for key, item in value.items()}
    return from_config(value, trusted)


def _stated(key: str, values: Any) -> Schedule | AutoGamma:
    """Build a schedule or an automatic gamma from JSON. Raises ValueError for anything else."""
    items = fields(STATED[key])
    needed = {item.name for item in items if item.default is MISSING}
    known = {item.name: str if item.type == "str" else int | float for item in items}
    if not isinstance(values, dict) or not needed <= values.keys() <= known.keys():
        raise ValueError(f"recipe.json is damaged: {key} must have {', '.join(known)}")
    if wrong := [name for name, value in values.items() if not isinstance(value, known[name])]:
        raise ValueError(f"recipe.json is damaged: {wrong[0]} of {key} has the wrong type")
    return STATED[key](**values)


def _term(stated: Any, trusted: ModuleType | None) -> Term:
    """Build a term from JSON. Raises ValueError for anything else."""
    names = {item.name for item in fields(Term)}
    values = _from_json(stated, trusted) if isinstance(stated, dict) else {}
    found = Term(**values) if isinstance(values, dict) and values.keys() == names else None
    is_number = found is not None and isinstance(found.weight, int | float | Schedule)
    if found is None or not is_number or not callable(found.function):
        raise ValueError(
            f"recipe.json is damaged: a term must have {', '.join(sorted(names))} of their types"
        )
    return found
