"""Lines out of a generator, as tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from multigan.contract import SAMPLING_CHUNK, device_of, evaluating, tree_map
from multigan.text.condition import TextCondition, no_condition
from multigan.text.tokens import EOS

if TYPE_CHECKING:
    from multigan.text.domain import TextDomain


class Drawn(NamedTuple):
    """Lines, and the share of them that did not come to an end in time."""

    texts: list[str]
    truncated: float


def draw(
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
    with evaluating(generator), torch.no_grad():
        tokens = generator.generate(latent, condition, **controls)
        if not scored:
            return tokens.cpu(), None
        temperature = controls.get("temperature", 1.0)
        scores = generator.token_log_likelihood(tokens, condition, temperature=temperature)
    return tokens.cpu(), scores.cpu()


def draw_lines(
    domain: TextDomain,
    generator: Any,
    n: int,
    rng: torch.Generator,
    labels: Tensor | None = None,
    temperature: float = 1.0,
) -> Drawn:
    """`n` lines, of the classes `labels` (n,) if there are any."""
    texts: list[str] = []
    unended = 0
    for start in range(0, n, SAMPLING_CHUNK):
        count = min(SAMPLING_CHUNK, n - start)
        condition = None
        if labels is not None:
            wanted = labels[start : start + count]
            condition = no_condition(count, domain.length)._replace(label=wanted)
        latent = generator.sample_latent(count, rng)
        tokens, _ = draw(generator, latent, condition, {"temperature": temperature})
        texts += [domain.read.decode(line) for line in tokens.tolist()]
        unended += int((tokens != EOS).all(1).sum())
    return Drawn(texts, unended / n)
