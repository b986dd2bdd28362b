"""Mode coverage of stacked images: the triples of classes and their frequencies."""

from __future__ import annotations

import torch
from torch import Tensor


def mode_coverage(classes: Tensor, fractions: Tensor) -> dict[str, float]:
    """Compute mode coverage of stacks of `classes` (N, D) int64; `fractions` (K,) of the source.

    modes_covered: number of distinct tuples of classes, of K^D; kl_to_uniform: KL to the uniform
    distribution over tuples, in nats; kl_to_class_prior: KL to the product of `fractions`. A
    perfect sampler scores about (K^D - 1) / 2N, since N is finite.

    Source: Metz et al. 2017 (Unrolled GANs), section 3.3; Lin et al. 2018 (PacGAN), section 4.2.
    """
    num_classes, depth = len(fractions), classes.shape[1]
    powers = num_classes ** torch.arange(depth)
    counts = torch.bincount((classes * powers).sum(1), minlength=num_classes**depth)
    frequencies = counts.double() / counts.sum()
    uniform = torch.full_like(frequencies, 1 / len(frequencies))
    return {
        "modes_covered": float((counts > 0).sum()),
        "kl_to_uniform": _kl(frequencies, uniform),
        "kl_to_class_prior": _kl(frequencies, _product(fractions.double(), depth)),
    }


def _product(fractions: Tensor, depth: int) -> Tensor:
    """Return the probabilities (K^depth,) of tuples of `depth` independent classes."""
    joint = fractions
    for _ in range(depth - 1):
        joint = (joint[:, None] * fractions).flatten()
    return joint


def _kl(p: Tensor, q: Tensor) -> float:
    """Return KL(p || q) in nats."""
    present = p > 0
    return float((p[present] * (p[present] / q[present]).log()).sum())
