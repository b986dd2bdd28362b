"""Sampling of tokens from logits: temperature, top-k, top-p and inverse transform sampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SamplingParams = tuple[float, int, float]  # temperature, top-k, top-p
UNRESTRICTED: SamplingParams = (1.0, 0, 1.0)  # the distribution as it is
MASKED_LOGIT = -1e9  # of a token that may not be sampled: finite, so that nothing becomes NaN


def check_controls(temperature: float, top_k: int, top_p: float) -> None:
    """Raise ValueError, in one line, for sampling parameters out of range."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be a finite number above 0; got {temperature}")
    if top_k < 0:
        raise ValueError(f"top_k must be 1 or more, or 0 for all tokens; got {top_k}")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, which is all tokens; got {top_p}")


def filter_logits(logits: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Logits (B, V) over the temperature, MASKED_LOGIT at all tokens but the allowed ones.

    Allowed are the `top_k` most likely (0: all), and of these the fewest whose probabilities sum to
    `top_p`; the most likely one always is.
    """
    logits = logits if temperature == 1 else logits / temperature
    if 0 < top_k < logits.shape[-1]:
        threshold = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, MASKED_LOGIT)
    if top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True, stable=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        beyond = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
        logits = logits.masked_fill(beyond, MASKED_LOGIT)
    return logits


def sample_tokens(logits: Tensor, uniform: Tensor) -> Tensor:
    """Sample tokens (B,) from softmax(logits) (B, V) at the quantiles `uniform` (B,) in [0, 1)."""
    cumulative = logits.softmax(-1).cumsum(-1)
    total = cumulative[:, -1:]
    below = torch.nextafter(total, torch.zeros_like(total))  # a product may round up to the total
    quantile = torch.minimum(uniform[:, None].to(total) * total, below)
    return torch.searchsorted(cumulative, quantile, right=True).squeeze(1)


def token_mask(vocabulary_size: int, tokens: tuple[int, ...]) -> Tensor:
    """A mask (V,): MASKED_LOGIT at the tokens, 0 elsewhere."""
    mask = torch.zeros(vocabulary_size)
    mask[list(tokens)] = MASKED_LOGIT
    return mask
