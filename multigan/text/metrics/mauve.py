"""How two sets of feature vectors diverge once both are binned alike: quality against diversity.

Both sets are joined, scaled to unit length, reduced to the directions that hold 90 % of their
variance and cut into clusters; what is compared are the two histograms over the clusters. Figures
depend on the counts, the features and the clusters: compare them at equal ones only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

VARIANCE = 0.9  # that is kept
ROWS_PER_CLUSTER = 10
CLUSTERINGS = 3  # that are averaged over
WEIGHTS = 25  # of the mixtures along the frontier
SCALE = 5.0  # in exp(-SCALE * KL)


class MauveScores(NamedTuple):
    """`area` in (0, 1], higher is better; `integral` in [0, 1], lower is better."""

    area: float
    integral: float


def mauve_scores(real: Tensor, fake: Tensor, rng: torch.Generator) -> MauveScores:
    """The mean over CLUSTERINGS clusterings of features real (N, F) and fake (M, F).

    Raises ValueError if a set is empty.
    Source: Pillutla et al. 2021, arXiv:2102.01454 (the area under the frontier); Liu et al. 2021,
    arXiv:2106.07898 (the integral).
    """
    if not len(real) or not len(fake):
        raise ValueError(f"{len(real)} real and {len(fake)} fake rows; wanted 1 or more of each")
    points = _reduced(torch.cat([real, fake]).double().numpy())
    found = []
    for _ in range(CLUSTERINGS):
        seed = int(torch.randint(2**31, (), generator=rng))
        p, q = _histograms(points, len(real), seed)
        found.append((mauve(p, q), frontier_integral(p, q)))
    return MauveScores(*(float(mean) for mean in np.mean(found, axis=0)))


def mauve(p: np.ndarray, q: np.ndarray) -> float:
    """The area under the curve of (exp(-c KL(q|r)), exp(-c KL(p|r))), r between p and q."""
    weights = np.arange(1, WEIGHTS + 1) / (WEIGHTS + 1)
    mixtures = [w * p + (1 - w) * q for w in weights]
    x = np.array([0.0, *(np.exp(-SCALE * _kl(q, r)) for r in mixtures), 1.0])
    y = np.array([1.0, *(np.exp(-SCALE * _kl(p, r)) for r in mixtures), 0.0])
    return (_area(x, y) + _area(y, x)) / 2


def frontier_integral(p: np.ndarray, q: np.ndarray) -> float:
    """Twice the mean, over the mixtures of p and q, of how far both are from them: 0 if equal."""
    both = (p > 0) & (q > 0) & (p != q)
    alone = (p == 0) != (q == 0)
    a, b = p[both], q[both]
    inner = (a + b) / 4 - a * b / 2 * (np.log(a) - np.log(b)) / (a - b)
    return float(2 * (inner.sum() + (p[alone] + q[alone]).sum() / 4))


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p | q) in nats; q is positive wherever p is."""
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())


def _area(x: np.ndarray, y: np.ndarray) -> float:
    """The area under y by trapezoids along ascending x."""
    order = np.lexsort((-y, x))
    x, y = x[order], y[order]
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum())


def _reduced(points: np.ndarray) -> np.ndarray:
    """Rows of unit length along the directions that hold VARIANCE of the variance."""
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    centred = points - points.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    shares = values.cumsum() / max(values.sum(), 1e-300)
    return centred @ vectors[:, : int(np.searchsorted(shares, VARIANCE)) + 1]


def _histograms(points: np.ndarray, real: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The shares of the first `real` rows, and of the others, in each cluster."""
    from sklearn.cluster import KMeans

    fewer = min(real, len(points) - real)
    clusters = max(1, min(fewer // ROWS_PER_CLUSTER, len(np.unique(points.round(9), axis=0))))
    bins = KMeans(clusters, n_init=1, random_state=seed).fit_predict(points)
    p, q = (np.bincount(part, minlength=clusters) for part in (bins[:real], bins[real:]))
    return p / p.sum(), q / q.sum()
