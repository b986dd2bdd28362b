"""Divergence frontiers (MAUVE) between two sets of feature vectors.

Both sets are concatenated, scaled to unit length, projected on the principal directions that hold
90 % of their variance and clustered. The two histograms over the clusters are compared. Values
depend on the counts, the features and the clusters: compare them at equal ones only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multigan.core.evaluation_size import evaluation_iterations

VARIANCE = 0.9  # the fraction that is kept
ROWS_PER_CLUSTER = 10
CLUSTERINGS = 3  # averaged over
NUM_MIXTURES = 25  # along the frontier
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
        raise ValueError(
            f"real and fake features must have 1 or more rows; got {len(real)} and {len(fake)}"
        )
    points = _project(torch.cat([real, fake]).double().numpy())
    scores = []
    for _ in range(evaluation_iterations(CLUSTERINGS)):
        seed = int(torch.randint(2**31, (), generator=rng))
        p, q = _histograms(points, len(real), seed)
        scores.append((mauve(p, q), frontier_integral(p, q)))
    return MauveScores(*(float(mean) for mean in np.mean(scores, axis=0)))


def mauve(p: np.ndarray, q: np.ndarray) -> float:
    """The area under the curve of (exp(-c KL(q|r)), exp(-c KL(p|r))), r between p and q."""
    weights = np.arange(1, NUM_MIXTURES + 1) / (NUM_MIXTURES + 1)
    mixtures = [w * p + (1 - w) * q for w in weights]
    x = np.array([0.0, *(np.exp(-SCALE * _kl(q, r)) for r in mixtures), 1.0])
    y = np.array([1.0, *(np.exp(-SCALE * _kl(p, r)) for r in mixtures), 0.0])
    return (_area(x, y) + _area(y, x)) / 2


def frontier_integral(p: np.ndarray, q: np.ndarray) -> float:
    """Twice the mean divergence of p and q from their mixtures: 0 if equal."""
    both = (p > 0) & (q > 0) & (p != q)
    alone = (p == 0) != (q == 0)
    a, b = p[both], q[both]
    inner = (a + b) / 4 - a * b / 2 * (np.log(a) - np.log(b)) / (a - b)
    return float(2 * (inner.sum() + (p[alone] + q[alone]).sum() / 4))


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p | q) in nats; q is positive wherever p is."""
    support = p > 0
    return float((p[support] * np.log(p[support] / q[support])).sum())


def _area(x: np.ndarray, y: np.ndarray) -> float:
    """The area under y by trapezoids along ascending x."""
    order = np.lexsort((-y, x))
    x, y = x[order], y[order]
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum())


def _project(points: np.ndarray) -> np.ndarray:
    """Rows of unit length along the directions that hold VARIANCE of the variance."""
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    centered = points - points.mean(0)
    values, vectors = np.linalg.eigh(centered.T @ centered)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    fractions = values.cumsum() / max(values.sum(), 1e-300)
    return centered @ vectors[:, : int(np.searchsorted(fractions, VARIANCE)) + 1]


def _histograms(points: np.ndarray, num_real: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fractions of the first `num_real` rows, and of the others, in each cluster.

    Raises ValueError without scikit-learn.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise ValueError(
            "scikit-learn must be installed for MAUVE: pip install 'multigan[text]'"
        ) from error

    smaller = min(num_real, len(points) - num_real)
    clusters = max(1, min(smaller // ROWS_PER_CLUSTER, len(np.unique(points.round(9), axis=0))))
    bins = KMeans(clusters, n_init=1, random_state=seed).fit_predict(points)
    p, q = (np.bincount(side, minlength=clusters) for side in (bins[:num_real], bins[num_real:]))
    return p / p.sum(), q / q.sum()
