"""The divergence frontier, by hand and at its ends."""

import math

import numpy as np
import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.text.metrics.mauve import frontier_integral, mauve, mauve_scores

P, Q = np.array([0.75, 0.25, 0.0]), np.array([0.25, 0.5, 0.25])


def test_equal_histograms_have_all_the_area_and_no_divergence():
    assert mauve(P, P) == pytest.approx(1)
    assert frontier_integral(P, P) == 0


def test_disjoint_histograms_have_hardly_any_area_and_all_the_divergence():
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    # KL(q|r) = -ln(1-w), KL(p|r) = -ln w: the curve y = (1 - x^(1/5))^5, exactly 1 / 252 below it.
    assert mauve(p, q) == pytest.approx(math.factorial(5) ** 2 / math.factorial(10), abs=6e-3)
    assert frontier_integral(p, q) == pytest.approx(1)


def test_the_integral_is_that_of_its_definition():
    grid = (np.arange(20_000) + 0.5) / 20_000

    def kl(p, r):
        there = p > 0
        return (p[there] * np.log(p[there] / r[there])).sum()

    both = [w * kl(P, w * P + (1 - w) * Q) + (1 - w) * kl(Q, w * P + (1 - w) * Q) for w in grid]
    assert frontier_integral(P, Q) == pytest.approx(2 * np.mean(both), abs=1e-6)
    assert frontier_integral(P, Q) == pytest.approx(frontier_integral(Q, P), abs=1e-12)


def test_the_area_shrinks_as_histograms_part():
    areas = [mauve(P, (1 - t) * P + t * Q) for t in (0.0, 0.3, 0.6, 1.0)]
    assert areas == sorted(areas, reverse=True) and areas[-1] < 0.9


def test_features_of_one_distribution_are_closer_than_those_of_two():
    rng = keyed_rng(0)
    real, alike = torch.randn(2, 300, 8, generator=rng)
    other = torch.randn(300, 8, generator=rng) + 1
    near, far = (mauve_scores(real, x, keyed_rng(1)) for x in (alike, other))
    assert near.area > 0.85 > 0.5 > far.area and near.integral < 0.1 < far.integral
    assert near == mauve_scores(real, alike, keyed_rng(1))


def test_few_and_equal_rows_are_measured_and_none_refused():
    assert mauve_scores(torch.ones(30, 4), torch.ones(30, 4), keyed_rng(0)).area == pytest.approx(1)
    with pytest.raises(ValueError, match="got 3 and 0"):
        mauve_scores(torch.ones(3, 4), torch.ones(0, 4), keyed_rng(0))
