"""Further terms of the loss of either network, given by the recipe as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from multigan.core.recipe import Recipe, Term, TermInputs
from multigan.engine.objective import frozen_parameters
from multigan.engine.schedules import check_schedule, value_at

NETWORKS = ("generator", "discriminator")
RESERVED = {"likelihood"} | {
    f"{n}{end}" for n in NETWORKS for end in ("", "_adversarial", "_terms")
}


def check_terms(terms: Mapping[str, Any]) -> None:
    """Raise ValueError, in one line, for terms that no network can have."""
    for name, term in terms.items():
        if name in RESERVED or "/" in name:
            raise ValueError(f"the name of a term must not be {name!r}: it is a key of the log")
        if not isinstance(term, Term) or not callable(term.function):
            kind = type(term.function if isinstance(term, Term) else term).__name__
            raise ValueError(f"the term {name} must be a function or a Term of one; got a {kind}")
        if term.network not in NETWORKS:
            known = " or ".join(NETWORKS)
            raise ValueError(f"network of the term {name} must be {known}; got {term.network!r}")
        check_schedule(f"weight of the term {name}", term.weight)


def add_terms(
    losses: dict[str, Tensor],
    network: str,
    recipe: Recipe,
    inputs: Callable[[], TermInputs],
) -> dict[str, Tensor]:
    """Add the terms of one network to its loss; the other network is frozen.

    `inputs` is called where there are any. Raises ValueError for a function that raises an
    error or returns no tensor.
    """
    own = {name: term for name, term in recipe.losses.items() if term.network == network}
    if not own:
        return losses
    given = inputs()
    other = recipe.discriminator if network == "generator" else recipe.generator
    values = {}
    with frozen_parameters(other.parameters()):
        for name, term in own.items():
            try:
                found = term.function(given)
            except Exception as error:  # a function of the caller raises arbitrary exceptions
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ValueError(
                    f"the term {name} must be a function of TermInputs; got: {reason}"
                ) from error
            if not isinstance(found, Tensor):
                kind = type(found).__name__
                raise ValueError(f"the term {name} must return a tensor; got a {kind}")
            values[name] = found.float().mean()
    weights = {name: value_at(term.weight, given.progress) for name, term in own.items()}
    total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
    adversarial = losses[f"loss/{network}"]
    losses.setdefault(f"loss/{network}_adversarial", adversarial)
    losses |= {f"loss/{name}": value for name, value in values.items()}
    return losses | {f"loss/{network}": adversarial + total, f"loss/{network}_terms": total}
