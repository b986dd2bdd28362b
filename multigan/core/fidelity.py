"""Distances between two sets of feature vectors, real (N, F) and fake (M, F).

Every value depends on the feature extractor and on both counts. Compare rows of a table only at
equal N and M, and print the floor (real against real at the same counts) next to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK_ROWS = 1024  # rows of the distance matrix that are held at once


class KernelDistance(NamedTuple):
    """Mean and standard deviation over the subsets; the mean of one subset has sd 0."""

    mean: float
    sd: float


class PrecisionRecall(NamedTuple):
    """Fractions in [0, 1]; two sets of one distribution do not reach 1."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Density, 1 in expectation for equal distributions, may exceed 1; coverage is a fraction."""

    density: float
    coverage: float


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """The Frechet distance of the Gaussians fitted to two sets: 0 for identical sets.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) with unbiased covariances, in float64; the trace of
    the root is the sum of the square roots of the eigenvalues of S1^(1/2) S2 S1^(1/2), which is
    symmetric. It is biased upward by about 1 / N, and N must well exceed F. With an extractor other
    than Inception it must not be called FID.

    Raises ValueError for fewer than two rows, unequal widths or values that are not finite.
    Source: Dowson and Landau 1982, "The Frechet distance between multivariate normal
    distributions"; Heusel et al. 2017, arXiv:1706.08500, eq. 6.
    """
    real, fake = _checked(real, fake, min_rows=2)
    real_covariance, fake_covariance = _covariance(real), _covariance(fake)
    root = _symmetric_root(real_covariance)
    product = _symmetric(root @ fake_covariance @ root)
    cross = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
    trace = real_covariance.trace() + fake_covariance.trace() - 2 * cross
    shift = (real.mean(0) - fake.mean(0)).square().sum()
    return max(0.0, float(shift + trace))  # below 0 only by rounding


def kernel_distance(
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator,
    subsets: int = 100,
    subset_size: int = 1000,
) -> KernelDistance:
    """The unbiased squared maximum mean discrepancy with the kernel (a.b / F + 1)^3 (KID).

    Averaged over `subsets` pairs of subsets sampled without replacement. With one subset of size
    N = M it is the estimate from all pairs. It is never clipped: for equal distributions it is
    negative about half of the time.

    Raises ValueError for a set smaller than `subset_size` or `subset_size` < 2, no subset, unequal
    widths or values that are not finite.
    Source: Binkowski et al. 2018, arXiv:1801.01401 (the kernel and the subsets); Gretton et al.
    2012, "A kernel two-sample test", lemma 6 (the unbiased estimate).
    """
    if subsets < 1 or subset_size < 2:
        raise ValueError(
            f"subsets must be 1 or more and subset_size 2 or more; got {subsets} and {subset_size}"
        )
    real, fake = _checked(real, fake, min_rows=subset_size)
    values = torch.stack(
        [
            _squared_mmd(_subset(real, subset_size, rng), _subset(fake, subset_size, rng))
            for _ in range(subsets)
        ]
    )
    return KernelDistance(float(values.mean()), float(values.std(correction=0)))


def precision_recall(real: Tensor, fake: Tensor, k: int = 5) -> PrecisionRecall:
    """Fraction of fakes inside any real ball, and of reals inside any fake ball.

    A row's ball reaches to its k-th nearest neighbour in its own set, itself not counted; inside
    means strictly nearer than that.

    Raises ValueError for fewer than k + 1 rows, unequal widths or values that are not finite.
    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, section 2.
    """
    real, fake = _checked(real, fake, min_rows=k + 1)
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    in_a_real_ball = [(d < real_radii).any(1) for d in _distances(fake, real)]
    in_a_fake_ball = [(d < fake_radii).any(1) for d in _distances(real, fake)]
    return PrecisionRecall(_fraction(in_a_real_ball), _fraction(in_a_fake_ball))


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> DensityCoverage:
    """Mean count / k of real balls around a fake, and fraction of real balls that hold a fake.

    Balls are those of `precision_recall`. Compare coverage with `expected_coverage`.

    Raises ValueError for fewer than k + 1 reals, no fake, unequal widths or values not finite.
    Source: Naeem et al. 2020, arXiv:2002.09797, section 3.
    """
    real, fake = _checked(real, fake, min_rows=k + 1, min_fakes=1)
    radii = _radii(real, k)
    counts = torch.zeros(len(fake), dtype=torch.long, device=fake.device)
    covered = []
    for distances, reach in zip(_distances(real, fake), _chunks(radii), strict=True):
        inside = distances < reach[:, None]  # (reals of this chunk, fakes)
        counts += inside.sum(0)
        covered.append(inside.any(1))
    return DensityCoverage(float(counts.double().mean()) / k, _fraction(covered))


def expected_coverage(real: int, fake: int, k: int = 5) -> float:
    """The expected coverage of `real` balls by `fake` rows of the same distribution.

    A ball stays empty when the k nearest of all other rows are real: with N reals and M fakes that
    has probability prod_{i<k} (N - 1 - i) / (N + M - 1 - i).
    Source: Naeem et al. 2020, arXiv:2002.09797, section 3.
    """
    empty = 1.0
    for i in range(k):
        empty *= (real - 1 - i) / (real + fake - 1 - i)
    return 1.0 - empty


def _checked(
    real: Tensor, fake: Tensor, min_rows: int, min_fakes: int | None = None
) -> tuple[Tensor, Tensor]:
    """Both sets as float64 (rows, F) without a graph. Raises ValueError for unusable ones."""
    min_fakes = min_rows if min_fakes is None else min_fakes
    for name, rows, minimum in (("real", real, min_rows), ("fake", fake, min_fakes)):
        if rows.ndim != 2:
            raise ValueError(f"{name} features must have shape (N, F); got {tuple(rows.shape)}")
        if len(rows) < minimum:
            raise ValueError(f"{name} features must have at least {minimum} rows; got {len(rows)}")
        if not rows.isfinite().all():
            raise ValueError(f"{name} features must be finite; got values that are not")
    if real.shape[1] != fake.shape[1]:
        raise ValueError(
            "real and fake features must have the same width; "
            f"got {real.shape[1]} and {fake.shape[1]}"
        )
    return real.detach().double(), fake.detach().double()


def _covariance(rows: Tensor) -> Tensor:
    """The unbiased covariance (F, F) of (N, F)."""
    centered = rows - rows.mean(0)
    return centered.T @ centered / (len(rows) - 1)


def _symmetric(matrix: Tensor) -> Tensor:
    """The symmetric part (F, F): removes rounding errors."""
    return (matrix + matrix.T) / 2


def _symmetric_root(matrix: Tensor) -> Tensor:
    """The square root (F, F) of a positive semi-definite matrix; rounding below 0 counts as 0."""
    eigenvalues, vectors = torch.linalg.eigh(_symmetric(matrix))
    root: Tensor = (vectors * eigenvalues.clamp(min=0).sqrt()) @ vectors.T
    return root


def _subset(rows: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """`size` rows sampled without replacement; `rng` lives on the CPU."""
    return rows[torch.randperm(len(rows), generator=rng)[:size].to(rows.device)]


def _squared_mmd(real: Tensor, fake: Tensor) -> Tensor:
    """The U-statistic of MMD^2 for two sets of n rows each: a scalar that may be negative."""
    n = len(real)
    within = _cubic_kernel(real, real) + _cubic_kernel(fake, fake)
    unpaired = (within.sum() - within.trace()) / (n * (n - 1))
    return unpaired - 2 * _cubic_kernel(real, fake).mean()


def _cubic_kernel(rows: Tensor, others: Tensor) -> Tensor:
    """k(a, b) = (a.b / F + 1)^3 for all pairs: (rows, others)."""
    return (rows @ others.T / rows.shape[1] + 1) ** 3


def _chunks(rows: Tensor) -> tuple[Tensor, ...]:
    """The rows in chunks of CHUNK_ROWS."""
    return torch.split(rows, CHUNK_ROWS)


def _distances(rows: Tensor, others: Tensor) -> Iterator[Tensor]:
    """The Euclidean distance matrix in chunks of rows, each (<= CHUNK_ROWS, others).

    Differences are squared one by one: the faster |a|^2 + |b|^2 - 2 a.b leaves equal rows at a
    distance that is not 0.
    """
    exact = "donot_use_mm_for_euclid_dist"
    return (torch.cdist(chunk, others, compute_mode=exact) for chunk in _chunks(rows))


def _radii(rows: Tensor, k: int) -> Tensor:
    """Distance (N,) of each row to its k-th nearest other row: the row itself is the 0-th."""
    return torch.cat([d.kthvalue(k + 1, dim=1).values for d in _distances(rows, rows)])


def _fraction(chunks: list[Tensor]) -> float:
    """The fraction of true values in chunks of booleans."""
    return float(torch.cat(chunks).double().mean())
