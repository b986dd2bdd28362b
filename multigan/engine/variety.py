"""How varied the fakes of a batch are beside its reals, whatever they are samples of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multigan.contract import Condition, evaluating

LOOKED_AT = 256  # samples of each side, at most
TWIN = 0.01  # of the mean distance between two reals: nearer samples count as the same
EQUAL = 1e-6  # of the reals' mean norm: a mean distance that is rounding


@torch.no_grad()
def variety(
    discriminator: Any, real: Tensor, fake: Tensor, condition: Condition
) -> dict[str, Tensor]:
    """Distances in D's features, or between samples as they are where it shows none.

    `variety/real` is the mean distance between two reals, as a share of their mean norm;
    `variety/fake` is that of two fakes, as a share of the reals'; `twins/real` and `twins/fake` are
    the shares of samples with another one nearer than a hundredth of it. Nothing is drawn, no
    buffer moves. Empty for a batch of one sample; nothing of fakes where all reals are equal.
    """
    if len(real) < 2:
        return {}
    with evaluating(discriminator):
        features = getattr(discriminator, "features", lambda x, condition: x)
        sides = [features(x, condition).float().flatten(1) for x in (real, fake)]
    centre = sides[0].mean(0)  # cdist multiplies matrices: far from the origin it would be coarse
    distances = [torch.cdist(side - centre, side - centre) for side in sides]
    n = len(real)
    means = [between.sum() / (n * (n - 1)) for between in distances]
    near = [
        (between.fill_diagonal_(torch.inf).amin(1) < TWIN * means[0]).float().mean()
        for between in distances
    ]
    norm = sides[0].norm(dim=1).mean()
    of_reals = {"variety/real": means[0] / norm.clamp_min(torch.finfo(norm.dtype).tiny)}
    if means[0] <= EQUAL * norm:
        return of_reals
    return of_reals | {
        "variety/fake": means[1] / means[0],
        "twins/real": near[0],
        "twins/fake": near[1],
    }
