"""Which triples of classes a set of stacked pictures shows, and how evenly."""

from __future__ import annotations

import torch
from torch import Tensor


def mode_coverage(classes: Tensor, shares: Tensor) -> dict[str, float]:
    """What stacks of the `classes` (N, D) int64 cover, given the source's class shares (K,).

    modes: tuples of classes that were seen, of K^D; mode_kl: KL(seen || all equally often) in nats;
    mode_kl_prior: KL(seen || as often as `shares` make them). A perfect sampler's is not 0 but
    about (K^D - 1) / 2N, since N is finite.

    Source: Metz et al. 2017 (Unrolled GANs), section 3.3; Lin et al. 2018 (PacGAN), section 4.2.
    """
    known, depth = len(shares), classes.shape[1]
    places = known ** torch.arange(depth)
    counts = torch.bincount((classes * places).sum(1), minlength=known**depth)
    seen = counts.double() / counts.sum()
    uniform = torch.full_like(seen, 1 / len(seen))
    return {
        "modes": float((counts > 0).sum()),
        "mode_kl": _kl(seen, uniform),
        "mode_kl_prior": _kl(seen, _product(shares.double(), depth)),
    }


def _product(shares: Tensor, depth: int) -> Tensor:
    """The shares (K^depth,) of the tuples of `depth` independent classes."""
    found = shares
    for _ in range(depth - 1):
        found = (found[:, None] * shares).flatten()
    return found


def _kl(shares: Tensor, others: Tensor) -> float:
    """KL(shares || others) in nats."""
    present = shares > 0
    return float((shares[present] * (shares[present] / others[present]).log()).sum())
