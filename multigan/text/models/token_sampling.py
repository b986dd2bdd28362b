"""From logits to a token: temperature, top-k, top-p, and the inverse of the cumulative sum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SamplingParams = tuple[float, int, float]  # temperature, top-k, top-p
UNRESTRICTED: SamplingParams = (1.0, 0, 1.0)  # the distribution as it is
MASKED_LOGIT = (
    -1e9
)  # the logit of a token that may not be drawn: finite, so that nothing becomes nan


def check_controls(temperature: float, top_k: int, top_p: float) -> None:
    """Raise ValueError, in one line, for controls that no sampling can have."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature}; wanted a finite number above 0")
    if top_k < 0:
        raise ValueError(f"top_k is {top_k}; wanted 0 (all tokens) or more")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; wanted more than 0, at most 1 (all tokens)")


def filter_logits(logits: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Logits (B, V) over the temperature, NEVER at all tokens but the allowed ones.

    Allowed are the `top_k` most likely (0: all), and of these the fewest whose probabilities sum to
    `top_p`; the most likely one always is.
    """
    logits = logits if temperature == 1 else logits / temperature
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, MASKED_LOGIT)
    if top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True, stable=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        beyond = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
        logits = logits.masked_fill(beyond, MASKED_LOGIT)
    return logits


def sample_tokens(logits: Tensor, uniform: Tensor) -> Tensor:
    """Tokens (B,) from softmax(logits) (B, V), each at its place `uniform` (B,) in [0, 1)."""
    cumulative = logits.softmax(-1).cumsum(-1)
    total = cumulative[:, -1:]
    below = torch.nextafter(total, torch.zeros_like(total))  # a product may round up to the total
    place = torch.minimum(uniform[:, None].to(total) * total, below)
    return torch.searchsorted(cumulative, place, right=True).squeeze(1)


def token_mask(vocabulary: int, tokens: tuple[int, ...]) -> Tensor:
    """(V,): NEVER at the tokens, 0 elsewhere."""
    logits = torch.zeros(vocabulary)
    logits[list(tokens)] = MASKED_LOGIT
    return logits
