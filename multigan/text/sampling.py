"""Sampling of lines: options, conditions, decoding, and log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from multigan.text.condition import TextCondition, no_condition
from multigan.text.tokenization.words import collapse_line_breaks

if TYPE_CHECKING:
    from multigan.text.domain import TextDomain
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import SAMPLING_BATCH_SIZE
from multigan.core.trees import tree_map
from multigan.text.tokenization.tokenizer import EOS


class ScoredText(str):
    """A string with the tokens that were sampled (a prompt's are not) and their log-probabilities.

    `log_probabilities` are in nats, one for each of `tokens`, the end of the line included.
    """

    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]

    def __new__(
        cls, text: str, tokens: Sequence[str], log_probabilities: Sequence[float]
    ) -> ScoredText:
        """Raises ValueError if there are not as many log-probabilities as tokens."""
        if len(tokens) != len(log_probabilities):
            raise ValueError(f"{len(tokens)} tokens, {len(log_probabilities)} log-probabilities")
        scored = super().__new__(cls, text)
        scored.tokens, scored.log_probabilities = tuple(tokens), tuple(log_probabilities)
        return scored

    @property
    def log_probability(self) -> float:
        """Of all sampled tokens together, in nats."""
        return math.fsum(self.log_probabilities)


class SamplingOptions(NamedTuple):
    """The wishes of `TextDomain.sample`, as they were typed."""

    prompt: str | None = None
    label: str | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def check_options(wishes: SamplingOptions) -> None:
    """Raises ValueError, in one line, for a wish out of range."""
    if not (math.isfinite(wishes.temperature) and wishes.temperature > 0):
        raise ValueError(f"temperature is {wishes.temperature}; wanted more than 0")
    if wishes.top_k < 0:
        raise ValueError(f"top_k is {wishes.top_k}; wanted 1 or more, or 0 for all tokens")
    if not 0 < wishes.top_p <= 1:
        raise ValueError(f"top_p is {wishes.top_p}; wanted more than 0 and at most 1")
    if wishes.prompt is not None and collapse_line_breaks(wishes.prompt) != wishes.prompt:
        raise ValueError("the prompt has more than one line; wanted one")


def make_condition(
    domain: TextDomain, wishes: SamplingOptions, n: int, rng: torch.Generator
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


class SampledLines(NamedTuple):
    """Lines, and the share of them that did not come to an end in time."""

    texts: list[str]
    truncated: float


def sample_tokens(
    generator: Any,
    latent: Any,
    condition: TextCondition | None,
    controls: Mapping[str, float],
    scored: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Tokens (B, T) int64 on the CPU, and if `scored` their log-probabilities (B, T).

    `controls` are temperature, top_k and top_p; the scores know the temperature only.
    """
    device = device_of(generator)
    latent, condition = (tree_map(lambda leaf: leaf.to(device), t) for t in (latent, condition))
    with eval_mode(generator), torch.no_grad():
        tokens = generator.generate(latent, condition, **controls)
        if not scored:
            return tokens.cpu(), None
        temperature = controls.get("temperature", 1.0)
        scores = generator.token_log_likelihood(tokens, condition, temperature=temperature)
    return tokens.cpu(), scores.cpu()


def sample_lines(
    domain: TextDomain,
    generator: Any,
    n: int,
    rng: torch.Generator,
    labels: Tensor | None = None,
    temperature: float = 1.0,
) -> SampledLines:
    """`n` lines, of the classes `labels` (n,) if there are any."""
    texts: list[str] = []
    unended = 0
    for start in range(0, n, SAMPLING_BATCH_SIZE):
        count = min(SAMPLING_BATCH_SIZE, n - start)
        condition = None
        if labels is not None:
            wanted = labels[start : start + count]
            condition = no_condition(count, domain.length)._replace(label=wanted)
        latent = generator.sample_latent(count, rng)
        tokens, _ = sample_tokens(generator, latent, condition, {"temperature": temperature})
        texts += [domain.read.decode(line) for line in tokens.tolist()]
        unended += int((tokens != EOS).all(1).sum())
    return SampledLines(texts, unended / n)
