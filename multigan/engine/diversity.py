"""Diversity of a batch of samples, overall and within equal conditions."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.modules import eval_mode
from multigan.core.protocols import Condition, Discriminator, SupportsFeatures
from multigan.core.trees import tree_leaves

MAX_SAMPLES = 256  # of each side
NEAR_DUPLICATE = 0.01  # of the mean distance between two reals: nearer samples count as the same
EQUAL = 1e-6  # of the reals' mean norm: a mean distance that is rounding
MIN_PAIRS = 8  # pairs of equal conditions in a batch, below which nothing is measured


@torch.no_grad()
def diversity_metrics(
    discriminator: Discriminator, real: Tensor, fake: Tensor, condition: Condition
) -> dict[str, Tensor]:
    """Measure diversity by distances in the discriminator's features, else between samples.

    `diversity/real` is the mean distance between two reals over their mean norm; `diversity/fake`
    that of two fakes over the reals'. `near_duplicates/*` are the fractions of samples with another
    one nearer than a hundredth of the reals' mean distance. Uses no random numbers and changes no
    buffer. Empty for a batch of one sample; without values of fakes where all reals are equal.
    `diversity/fake_within_condition` is the mean distance between fakes of one condition over that
    between such reals, taken between samples: a discriminator that was fooled tells apart what
    nobody else does.
    """
    n = len(real)
    if n < 2:
        return {}
    same = pairs_of_one_condition(condition)
    within = None if same is None else mean_distance_ratio(real, fake, same)
    with eval_mode(discriminator):
        sides = [real, fake]
        if isinstance(discriminator, SupportsFeatures):
            sides = [discriminator.features(x, condition) for x in sides]
        sides = [x.float().flatten(1) for x in sides]
    center = sides[0].mean(0)  # cdist multiplies matrices: inaccurate far from the origin
    distances = [torch.cdist(side - center, side - center) for side in sides]
    means = [between.sum() / (n * (n - 1)) for between in distances]
    norm = sides[0].norm(dim=1).mean()
    real_metrics = {"diversity/real": means[0] / norm.clamp_min(torch.finfo(norm.dtype).tiny)}
    if means[0] <= EQUAL * norm:
        return real_metrics
    near = [
        (between.fill_diagonal_(torch.inf).amin(1) < NEAR_DUPLICATE * means[0]).float().mean()
        for between in distances
    ]
    return real_metrics | {
        "diversity/fake": means[1] / means[0],
        **({} if within is None else {"diversity/fake_within_condition": within}),
        "near_duplicates/real": near[0],
        "near_duplicates/fake": near[1],
    }


def condition_groups(condition: Condition) -> Tensor | None:
    """Return the number (B,) of the group of equal conditions of each sample; None without any."""
    leaves = [leaf.reshape(len(leaf), -1).double() for leaf in tree_leaves(condition)]
    if not leaves:
        return None
    numbers: Tensor = torch.cat(leaves, 1).unique(dim=0, return_inverse=True)[1]
    return numbers


def pairs_of_one_condition(condition: Condition) -> Tensor | None:
    """Return which pairs (B, B) have one condition; None unless some but not all have."""
    groups = condition_groups(condition)
    if groups is None:
        return None
    same: Tensor = (groups[:, None] == groups).fill_diagonal_(False)
    pairs = int(same.sum()) // 2
    return None if pairs < MIN_PAIRS or 2 * pairs == len(same) * (len(same) - 1) else same


def mean_distance_ratio(real: Tensor, fake: Tensor, pairs: Tensor) -> Tensor | None:
    """Return the mean distance between fakes over that between reals, of `pairs` (B, B).

    None for reals that are all equal.
    """
    rows = [x.float().flatten(1) for x in (real, fake)]
    center = rows[0].mean(0)  # cdist multiplies matrices: inaccurate far from the origin
    means = [torch.cdist(side - center, side - center)[pairs].mean() for side in rows]
    return means[1] / means[0] if means[0] > EQUAL * rows[0].norm(dim=1).mean() else None


def pairwise_auc(higher: Tensor, lower: Tensor) -> Tensor:
    """Return the probability (0-dim) that one of `higher` exceeds one of `lower`; ties: half."""
    difference = higher.flatten()[:, None] - lower.flatten()
    return ((difference > 0).float() + 0.5 * (difference == 0).float()).mean()
