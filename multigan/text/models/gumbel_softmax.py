"""Gumbel-softmax relaxation of tokens: the discriminator's gradient reaches the logits.

A token is sampled first, from softmax(o). The noise g, for which it is the argmax of z = o + g, is
sampled afterwards, from its distribution given the token. Tokens and noise are then jointly
distributed as if the noise had come first, and sampling tokens alone needs no noise.

N positions; o logits (N, V), g Gumbel noise, b the inverse temperature: softmax(b z) is the relaxed
token. b changes the gradient alone, never the distribution of the tokens.
Source: Maddison et al. 2014 (A* sampling), section 3.1, for noise given its argmax; Jang et al.
2017 and Maddison et al. 2017 for the relaxation; Nie et al. 2019 (RelGAN), section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from multigan.text.tokenization.tokenizer import one_hot

LOG_SCALE_STEPS = 1000  # the published "log" schedule depends on the number of steps
STEEPNESS = 10.0  # of the sigmoid schedule


def gumbel_noise(seeds: Tensor, counts: Tensor, vocabulary_size: int, like: Tensor) -> Tensor:
    """Sample standard Gumbel noise (N, V): `counts` (B,) rows of each sample, from its own seed.

    `seeds` are (B,), N is the sum of the counts. Sampled in float32 on the device of `like`,
    returned in its type.
    """
    noise = torch.empty(int(counts.sum()), vocabulary_size, device=like.device)
    smallest = torch.finfo(noise.dtype).tiny  # log 0 is not finite
    for rows, seed in zip(noise.split(counts.tolist()), seeds.tolist(), strict=True):
        rows.uniform_(generator=torch.Generator(like.device).manual_seed(seed))
        rows.clamp_min_(smallest).log_().neg_().log_().neg_()
    return noise.to(like.dtype)


@torch.no_grad()
def gumbel_given_argmax(logits: Tensor, tokens: Tensor, noise: Tensor) -> Tensor:
    """Sample z = o + g (N, V) given that `tokens` (N,) are its argmax, from standard noise.

    z_y = G_y + logsumexp(o), and below it z_i = -log(exp(-(o_i + G_i)) + exp(-z_y)).
    """
    chosen = tokens[:, None]
    top = noise.gather(1, chosen) + logits.logsumexp(1, keepdim=True)  # (N, 1)
    below = softplus((noise + logits).neg_().add_(top)).neg_().add_(top)
    return below.scatter_(1, chosen, top)


class _Relaxation(torch.autograd.Function):
    """softmax(b z), or its argmax if `hard`; both have the gradient of the former.

    The backward pass is written by hand: each pass over V-wide rows that autograd would add costs
    as much as the others.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        tokens: Tensor,
        free: Tensor,
        noise: Tensor,
        inverse_temperature: Tensor,
        hard: bool,
    ) -> Tensor:
        relaxed = torch.softmax(
            gumbel_given_argmax(logits, tokens[free], noise).mul_(inverse_temperature), dim=1
        )
        ctx.save_for_backward(relaxed, free, inverse_temperature)
        rows = one_hot(tokens, relaxed.shape[1], relaxed)
        return rows if hard else rows.index_put_((free,), relaxed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """b (diag(y) - y y^T) times the gradient, at the free positions."""
        relaxed, free, inverse_temperature = ctx.saved_tensors
        grad = grad[free]
        mean = torch.linalg.vecdot(grad, relaxed)[:, None]
        return grad.sub_(mean).mul_(relaxed).mul_(inverse_temperature), None, None, None, None, None


def soft_relaxation(
    logits: Tensor, tokens: Tensor, free: Tensor, noise: Tensor, inverse_temperature: Tensor
) -> Tensor:
    """Tokens (...) as rows (..., V): softmax(b z) where they are `free`, else one-hot.

    `logits` and `noise` (N, V) are those of the N free ones; the gradient reaches the logits with
    the noise held fixed.
    """
    return _Relaxation.apply(logits, tokens, free, noise, inverse_temperature, False)


def straight_through(
    logits: Tensor, tokens: Tensor, free: Tensor, noise: Tensor, inverse_temperature: Tensor
) -> Tensor:
    """The same rows (..., V), all exactly one-hot, with the gradient of `soft_relaxation`."""
    return _Relaxation.apply(logits, tokens, free, noise, inverse_temperature, True)


RELAXATIONS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "soft": soft_relaxation,
    "straight_through": straight_through,
}


def exponential(end: float, progress: float) -> float:
    """Equal ratios."""
    return end**progress


def linear(end: float, progress: float) -> float:
    """Equal differences."""
    return 1 + (end - 1) * progress


def logarithmic(end: float, progress: float) -> float:
    """Fast at first: the published schedule of a run of LOG_SCALE_STEPS steps."""
    fraction = math.log1p(progress * (LOG_SCALE_STEPS - 1)) / math.log(LOG_SCALE_STEPS)
    return 1 + (end - 1) * fraction


def sigmoid(end: float, progress: float) -> float:
    """Slow, fast, slow; it starts and ends within 1e-4 of its ends."""
    return 1 + (end - 1) / (1 + math.exp(STEEPNESS - 2 * STEEPNESS * progress))


def quadratic(end: float, progress: float) -> float:
    """Slow at first."""
    return 1 + (end - 1) * progress**2


def square_root(end: float, progress: float) -> float:
    """Fast at first."""
    return 1 + (end - 1) * math.sqrt(progress)


def constant(end: float, progress: float) -> float:
    """The end value throughout."""
    return end


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "exponential": exponential,
    "linear": linear,
    "logarithmic": logarithmic,
    "sigmoid": sigmoid,
    "quadratic": quadratic,
    "square_root": square_root,
    "constant": constant,
}
"""(inverse temperature at the end, progress 0 to 1) -> inverse temperature; from 1, or constant.

Source: the published code of RelGAN, where every run has 5,000 steps.
"""


def get_schedule(name: str) -> Callable[[float, float], float]:
    """Get a schedule by name. Raises ValueError, listing the known ones, for any other."""
    if name not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; got {name!r}")
    return SCHEDULES[name]
