"""Gradient penalties: a value per sample of the norm of the discriminator's input gradient.

The norm is taken over all axes of a sample. The weight of every penalty is called gamma:
gamma * |grad|^2 / 2 (zero-centered) or gamma * (|grad| - 1)^2 (lambda in WGAN-GP and DRAGAN).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu

EPS = 1e-12  # under the root: the gradient of a norm at zero is undefined
DRAGAN_NOISE = 0.5  # times the batch's standard deviation


class GradientPenalty(NamedTuple):
    """A cost of the squared gradient norm (B,) at some points.

    `at` is "real", "fake" or a function (real, fake, rng) -> points (B, ...).
    """

    at: str | Callable[[Tensor, Tensor, torch.Generator], Tensor]
    cost: Callable[[Tensor], Tensor]


def squared_norm(gradient: Tensor) -> Tensor:
    """Return |g|^2 over every axis but the first: (B, ...) -> (B,)."""
    return gradient.flatten(1).square().sum(1)


def zero_centered(squared: Tensor) -> Tensor:
    """|g|^2 / 2. Source: Mescheder et al. 2018, eq. (9): R1 at reals, R2 at fakes."""
    return squared / 2


def one_centered(squared: Tensor) -> Tensor:
    """(|g| - 1)^2. Source: Gulrajani et al. 2017, eq. (3)."""
    return ((squared + EPS).sqrt() - 1) ** 2


def one_sided(squared: Tensor) -> Tensor:
    """max(0, |g| - 1)^2. Source: Petzka et al. 2018, eq. (8) (WGAN-LP)."""
    return relu((squared + EPS).sqrt() - 1) ** 2


def random_interpolates(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Return e x + (1 - e) y, one e ~ U(0, 1) per sample. Source: Gulrajani et al. 2017, alg. 1."""
    e = _per_sample(torch.rand(len(real), generator=rng), real)
    return e * real + (1 - e) * fake


def dragan_points(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Return x + 0.5 sd(x) e u, u ~ U(0, 1) per element and e ~ U(0, 1) per sample.

    Source: the authors' code of DRAGAN; their paper (Kodali et al. 2017, section 2.3) has Gaussian
    noise.
    """
    noise = torch.rand(real.shape, generator=rng).to(real)
    e = _per_sample(torch.rand(len(real), generator=rng), real)
    return real + DRAGAN_NOISE * real.std() * e * noise


def _per_sample(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like).reshape(-1, *[1] * (like.dim() - 1))


PENALTIES: dict[str, GradientPenalty] = {
    "r1": GradientPenalty("real", zero_centered),
    "r2": GradientPenalty("fake", zero_centered),
    "wgan_gp": GradientPenalty(random_interpolates, one_centered),
    "one_sided_gp": GradientPenalty(random_interpolates, one_sided),
    "dragan": GradientPenalty(dragan_points, one_centered),
}


def get_penalty(name: str) -> GradientPenalty:
    """Return the penalty called `name`. Raises ValueError for an unknown name."""
    if name not in PENALTIES:
        raise ValueError(f"penalty must be one of {', '.join(PENALTIES)}; got {name!r}")
    return PENALTIES[name]
