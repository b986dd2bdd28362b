"""What a person wishes of a line, checked, and as the condition that a generator is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from multigan.text.condition import TextCondition, no_condition
from multigan.text.words import one_line

if TYPE_CHECKING:
    from multigan.text.domain import TextDomain


class Wishes(NamedTuple):
    """The wishes of `TextDomain.sample`, as they were typed."""

    prompt: str | None = None
    label: str | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def check(wishes: Wishes) -> None:
    """Raises ValueError, in one line, for a wish out of range."""
    if not (math.isfinite(wishes.temperature) and wishes.temperature > 0):
        raise ValueError(f"temperature is {wishes.temperature}; wanted more than 0")
    if wishes.top_k < 0:
        raise ValueError(f"top_k is {wishes.top_k}; wanted 1 or more, or 0 for all tokens")
    if not 0 < wishes.top_p <= 1:
        raise ValueError(f"top_p is {wishes.top_p}; wanted more than 0 and at most 1")
    if wishes.prompt is not None and one_line(wishes.prompt) != wishes.prompt:
        raise ValueError("the prompt has more than one line; wanted one")


def condition_of(
    domain: TextDomain, wishes: Wishes, n: int, rng: torch.Generator
) -> TextCondition | None:
    """The condition of `n` lines; None where there is neither a prompt nor a class.

    Without a wish for one, each line draws a class. Raises ValueError for an unknown class, or a
    prompt that leaves no room.
    """
    prompt = prompt_tokens(domain, wishes.prompt)
    label = labels_of(domain, wishes.label, n, rng)
    if label is None and not prompt:
        return None
    condition = no_condition(n, domain.length)
    condition.prompt[:, : len(prompt)] = torch.tensor(prompt, dtype=torch.int64)
    return condition if label is None else condition._replace(label=label)


def prompt_tokens(domain: TextDomain, prompt: str | None) -> Sequence[int]:
    """The tokens of a prompt; the space after it belongs to the word that follows.

    Raises ValueError if they leave no room for another token and the end.
    """
    if prompt is None or not prompt.strip():
        return []
    (tokens,) = domain.read.encode([prompt.rstrip()])
    if len(tokens) > domain.length - 2:
        raise ValueError(
            f"the prompt has {len(tokens)} tokens; this model writes lines of {domain.length - 1}"
        )
    return tokens


def labels_of(
    domain: TextDomain, wished: str | None, n: int, rng: torch.Generator
) -> Tensor | None:
    """The classes (n,) of the lines: the wished one, else drawn evenly; None without classes."""
    if wished is None:
        return torch.randint(len(domain.classes), (n,), generator=rng) if domain.classes else None
    if not domain.classes:
        raise ValueError("this model knows no classes; leave --label out")
    if wished not in domain.classes:
        raise ValueError(f"no class {wished!r}; known: {', '.join(domain.classes)}")
    return torch.full((n,), domain.classes.index(wished))
