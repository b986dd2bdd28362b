"""Metrics of points: covered modes, their balance and their width.

A point is of high quality if it lies within 3 standard deviations of its nearest mode; a mode is
covered if at least one such point belongs to it. All points here are in the units of the mixture.
Source: PacGAN (Lin et al. 2018), section 4.1; the last three of `compute_metrics` are our own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from multigan.points.mixtures import GaussianMixtureSpec

RADIUS = 3.0  # of high quality, in standard deviations
CEILING = 1 - math.exp(-(RADIUS**2) / 2)  # .98889: a true Gaussian's high-quality share in 2-D
# The standard deviation of a 2-D unit Gaussian cut off at RADIUS: .9743 per axis.
TRUNCATED_STD = math.sqrt(1 - RADIUS**2 / 2 * (1 - CEILING) / CEILING)


def compute_metrics(points: Tensor, mixture: GaussianMixtureSpec) -> dict[str, float]:
    """Every metric of points (N, 2); one that is undefined (no high-quality point) is left out.

    modes: covered; high_quality_fraction: share; reverse_kl: in nats, over the high-quality points;
    total_variation: in [0, 1]; mode_std_ratio: mean over modes, 1 if each is as wide as it should
    be; min_mode_fraction: of the least visited mode, times the number of modes, 1 if all are even.
    """
    counts = mode_counts(points, mixture)
    spread = mode_std_ratios(points, mixture)
    values = {
        "modes": float((counts > 0).sum()),
        "high_quality_fraction": float(counts.sum()) / len(points),
        "reverse_kl": reverse_kl(counts),
        "total_variation": total_variation(counts, len(points)),
        "mode_std_ratio": float(spread[~spread.isnan()].mean()),
        "min_mode_fraction": float(mode_fractions(counts).min()) * len(counts),
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}


def nearest_modes(points: Tensor, mixture: GaussianMixtureSpec) -> tuple[Tensor, Tensor]:
    """The nearest mode (N,) of each point (N, 2), and the Mahalanobis distance (N,) to it."""
    offsets = points.double()[:, None] - mixture.centers()  # (N, modes, 2)
    distances, modes = offsets.norm(dim=-1).min(dim=1)
    return modes, distances / mixture.sd


def mode_counts(points: Tensor, mixture: GaussianMixtureSpec) -> Tensor:
    """Number of high-quality points of each mode (modes,), int64."""
    modes, distances = nearest_modes(points, mixture)
    return torch.bincount(modes[distances < RADIUS], minlength=len(mixture.means))


def mode_fractions(counts: Tensor) -> Tensor:
    """The share (modes,) of the high-quality points that each mode has; nan if there are none."""
    return counts.double() / counts.sum()


def reverse_kl(counts: Tensor) -> float:
    """KL(share of the modes || uniform) in nats, 0 to ln(modes); nan without a counted point.

    At 2,500 points a perfect sampler scores about (modes - 1) / 5,000, not 0.
    """
    shares = mode_fractions(counts)
    return float(torch.special.xlogy(shares, len(counts) * shares).sum())


def total_variation(counts: Tensor, n: int) -> float:
    """Half the summed difference between where `n` points lie and where true ones would, 0 to 1.

    The cells are the modes' 3-sd discs and everything outside them; true shares are CEILING / modes
    each, and 1 - CEILING. Missing modes, uneven modes and points between modes all count.
    """
    inside = counts.double() / n  # (modes,)
    astray = 1 - float(inside.sum())
    excess = (inside - CEILING / len(counts)).abs().sum()
    return (float(excess) + abs(astray - (1 - CEILING))) / 2


def mode_std_ratios(points: Tensor, mixture: GaussianMixtureSpec) -> Tensor:
    """Each mode's measured over its true standard deviation (modes,); nan below two points.

    Taken about the points' own mean, both axes pooled, over the high-quality points only and
    corrected for that cut: 1 for a true sampler, 0 for a mode that shrank to one point.
    """
    modes, distances = nearest_modes(points, mixture)
    ratios = torch.full((len(mixture.means),), torch.nan, dtype=torch.float64)
    for mode in modes[distances < RADIUS].unique().tolist():
        own = points[(modes == mode) & (distances < RADIUS)].double()  # (n, 2)
        if len(own) > 1:
            ratios[mode] = own.var(dim=0).mean().sqrt() / (mixture.sd * TRUNCATED_STD)
    return ratios
