"""Bootstrap intervals of the figures of a table, over pieces or windows.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 14.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from multigan.core.evaluation_size import evaluation_iterations
from multigan.music.metrics.note_statistics import CLIP, FEATURES, standardized, varying

RESAMPLES = 1000
LEVEL = 0.95

Interval = tuple[float, float]


def bootstrap_intervals(
    found: Tensor,
    reference: Tensor,
    groups: Tensor,
    rng: torch.Generator,
    names: Sequence[str] = tuple(FEATURES),
    compared: Sequence[str] | None = None,
) -> dict[str, Interval]:
    """The 95 % interval of the mean of each of `names`, of `frechet` and of `frechet_clipped`.

    Whole groups of windows are resampled: `groups` (N,) says to which of 0 .. G - 1 a window of
    `found` (N, F) belongs, since windows of one piece resemble each other. A mean has the
    quantiles of its resamples. A Frechet distance, of the figures `compared` (by default all),
    grows with each resampling, so its interval is mirrored at the distance itself, and not below
    0. `reference` (R, F) is left as it is. A figure without a value has no interval.
    """
    counts = _resampled(int(groups.max()) + 1, rng)[:, groups]  # (RESAMPLES, N)
    tail = (1 - LEVEL) / 2
    ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    bounds = _means(found, counts).nanquantile(ends, dim=0).T.tolist()  # F x [low, high]
    measured = {name: (low, high) for name, (low, high) in zip(names, bounds, strict=True)}
    columns = [names.index(name) for name in (names if compared is None else compared)]
    found, reference = found[:, columns], reference[:, columns]
    for name, clip in (
        ("feature_frechet_distance", None),
        ("feature_frechet_distance_clipped", CLIP),
    ):
        whole = _frechets(found, reference, torch.ones_like(counts[:1]), clip)
        again = _frechets(found, reference, counts, clip).nanquantile(ends)
        low, high = (2 * whole - again.flip(0)).clamp(min=0).tolist()
        measured[name] = low, high
    return {name: ends for name, ends in measured.items() if ends[0] == ends[0]}  # no NaN


def _resampled(groups: int, rng: torch.Generator) -> Tensor:
    """Number of times that each group is in each resample: (RESAMPLES, groups), float64."""
    shape = (evaluation_iterations(RESAMPLES), groups)
    sampled = torch.randint(groups, shape, generator=rng)
    ones = torch.ones(sampled.shape, dtype=torch.float64)
    return torch.zeros(sampled.shape, dtype=torch.float64).scatter_add(1, sampled, ones)


def _means(found: Tensor, counts: Tensor) -> Tensor:
    """The mean of each figure (S, F) where windows count `counts` (S, N) times."""
    defined = ~found.isnan()
    return (counts @ found.nan_to_num(0.0)) / (counts @ defined.double())


def _frechets(found: Tensor, reference: Tensor, counts: Tensor, clip: float | None) -> Tensor:
    """The distance (S,) where windows count `counts` (S, N) times; NaN for fewer than two."""
    kept = ~found[:, varying(reference)].isnan().any(1)
    real, fake = standardized(reference, found, clip)
    weights = counts[:, kept]
    if min(len(real), len(fake)) < 2:
        return torch.full((len(counts),), torch.nan, dtype=torch.float64)
    total = weights.sum(1)[:, None]
    mean = weights @ fake / total  # (S, F)
    products = (fake[:, :, None] * fake[:, None, :]).flatten(1)  # (N, F * F)
    second = (weights @ products / total).unflatten(1, (fake.shape[1], -1))
    spread = second - mean[:, :, None] * mean[:, None, :]
    covariance = spread * (total / (total - 1))[:, :, None]
    return _distances(real.mean(0), torch.cov(real.T), mean, covariance)


def _distances(mean: Tensor, covariance: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    """The Frechet distances (S,) of one Gaussian to S others; see `fidelity.frechet_distance`."""
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariances @ root).clamp(min=0).sqrt().sum(1)
    traces = covariance.trace() + covariances.diagonal(dim1=1, dim2=2).sum(1)
    return (means - mean).square().sum(1) + traces - 2 * cross
