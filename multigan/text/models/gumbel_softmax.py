"""Gumbel noise and the relaxed tokens that let D's gradient reach the generator's logits.

A token is drawn first, as one draws from softmax(o); the noise g, of which it is the argmax in
z = o + g, is drawn after it, from its distribution given that. Tokens and noise are then jointly
distributed as if the noise had come first, and no noise is needed where only tokens are.

N positions; o logits (N, V), g Gumbel noise, beta the inverse temperature: softmax(beta z) is the
relaxed token. Beta changes the gradient alone, never how tokens are distributed.
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

LOG_SCALE_STEPS = 1000  # the published "log" schedule depends on the number of steps: this one
STEEPNESS = 10.0  # of the sigmoid schedule


def gumbel_noise(seeds: Tensor, counts: Tensor, vocabulary: int, like: Tensor) -> Tensor:
    """Standard Gumbel noise (N, V): as many rows of each sample, from its own seed, as it counts.

    `seeds` and `counts` are (B,), N is the sum of the counts. Drawn in float32 on the device of
    `like`, returned in its type.
    """
    noise = torch.empty(int(counts.sum()), vocabulary, device=like.device)
    least = torch.finfo(noise.dtype).tiny  # log 0 is no number
    for own, seed in zip(noise.split(counts.tolist()), seeds.tolist(), strict=True):
        own.uniform_(generator=torch.Generator(like.device).manual_seed(seed))
        own.clamp_min_(least).log_().neg_().log_().neg_()
    return noise.to(like.dtype)


@torch.no_grad()
def gumbel_given_argmax(logits: Tensor, tokens: Tensor, noise: Tensor) -> Tensor:
    """z = o + g (N, V) given that `tokens` (N,) are its argmax, from fresh standard noise.

    z_y = G_y + logsumexp(o), and below it z_i = -log(exp(-(o_i + G_i)) + exp(-z_y)).
    """
    chosen = tokens[:, None]
    top = noise.gather(1, chosen) + logits.logsumexp(1, keepdim=True)  # (N, 1)
    below = softplus((noise + logits).neg_().add_(top)).neg_().add_(top)
    return below.scatter_(1, chosen, top)


class _Relaxation(torch.autograd.Function):
    """softmax(beta z) or, hardened, its argmax; both have the former's gradient in the logits.

    By hand, because each pass over V-wide rows that autograd would add costs as much as the others.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        tokens: Tensor,
        free: Tensor,
        noise: Tensor,
        beta: Tensor,
        harden: bool,
    ) -> Tensor:
        relaxed = torch.softmax(gumbel_given_argmax(logits, tokens[free], noise).mul_(beta), dim=1)
        ctx.save_for_backward(relaxed, free, beta)
        rows = one_hot(tokens, relaxed.shape[1], relaxed)
        return rows if harden else rows.index_put_((free,), relaxed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """beta (diag(y) - y y^T) times the slope, at the free positions."""
        relaxed, free, beta = ctx.saved_tensors
        slope = slope[free]
        mean = torch.linalg.vecdot(slope, relaxed)[:, None]
        return slope.sub_(mean).mul_(relaxed).mul_(beta), None, None, None, None, None


def soft_relaxation(
    logits: Tensor, tokens: Tensor, free: Tensor, noise: Tensor, beta: Tensor
) -> Tensor:
    """Tokens (...) as rows (..., V): softmax(beta z) where they are `free`, else one-hot.

    `logits` and `noise` (N, V) are those of the N free ones; the gradient reaches the logits with
    the noise held fixed.
    """
    return _Relaxation.apply(logits, tokens, free, noise, beta, False)


def straight_through(
    logits: Tensor, tokens: Tensor, free: Tensor, noise: Tensor, beta: Tensor
) -> Tensor:
    """The same rows (..., V), all exactly one-hot, with the gradient of the soft ones."""
    return _Relaxation.apply(logits, tokens, free, noise, beta, True)


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
    share = math.log1p(progress * (LOG_SCALE_STEPS - 1)) / math.log(LOG_SCALE_STEPS)
    return 1 + (end - 1) * share


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
    """The same all the time."""
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
"""(beta at the end, progress 0 to 1) -> beta; all but the constant start at 1.

Source: the published code of RelGAN; there the run has 5,000 steps whatever its length.
"""


def find_schedule(name: str) -> Callable[[float, float], float]:
    """The schedule called `name`. Raises ValueError, listing the known ones, for any other."""
    if name not in SCHEDULES:
        raise ValueError(f"schedule {name!r} is unknown; known: {', '.join(SCHEDULES)}")
    return SCHEDULES[name]
