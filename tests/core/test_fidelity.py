"""Hand numbers, scipy, scikit-learn and loops over every pair stand against our distances."""

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from multigan.core import fidelity
from multigan.core.fidelity import (
    density_coverage,
    expected_coverage,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from multigan.core.rng import keyed_rng


def gaussian(n, width, *key, shift=0.0, scale=1.0):
    return torch.randn(n, width, generator=keyed_rng("fidelity", *key)) * scale + shift


def signs(width):
    """2^width rows whose mean is exactly 0 and whose unbiased covariance is diagonal."""
    rows = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * width).double()
    return rows * math.sqrt((len(rows) - 1) / len(rows))  # unit variances


def test_identical_sets_have_no_frechet_distance():
    rows = gaussian(100, 8, 0)
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(rows, rows.flip(0)) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_diagonal_gaussians_is_that_of_means_and_sds():
    sd1, sd2 = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 2.0, 0.25])
    mean1, mean2 = torch.tensor([0.0, 1.0, -1.0]), torch.tensor([2.0, 1.0, 0.0])
    found = frechet_distance(signs(3) * sd1 + mean1, signs(3) * sd2 + mean2)
    assert found == pytest.approx((4 + 0 + 1) + (4 + 0 + 0.0625), abs=1e-9)


def test_frechet_distance_equals_the_published_formula_with_scipys_matrix_root():
    mixing = gaussian(6, 6, "mixing").double()
    real, fake = gaussian(50, 6, 1).double() @ mixing, gaussian(40, 6, 2, shift=0.5).double()
    a, b = real.numpy(), fake.numpy()
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(s1 @ s2)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root.real)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(fake, real) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_survives_singular_covariances():
    rows = gaussian(10, 3, 3).double()
    wide = torch.cat([rows, rows @ gaussian(3, 20, 4).double()], 1)  # rank 3 of 23
    assert frechet_distance(wide, wide) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(wide, wide + 1) == pytest.approx(23, rel=1e-7)
    assert frechet_distance(torch.zeros(2, 1), torch.full((2, 1), 3.0)) == pytest.approx(9)


def test_kernel_distance_of_two_points_each_by_hand():
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    # k(0, 1) = 1, k(2, 3) = 7^3 = 343; across: 1 + 1 + 3^3 + 4^3 = 93
    found = kernel_distance(real, fake, keyed_rng(0), subsets=3, subset_size=2)
    assert found.mean == pytest.approx(1 + 343 - 93 / 2, abs=1e-9)
    assert found.sd == pytest.approx(0, abs=1e-9)


def test_kernel_distance_equals_sklearns_kernel_without_the_diagonals():
    real, fake = gaussian(30, 5, 5), gaussian(30, 5, 6, shift=0.3)
    xx, yy, xy = (
        polynomial_kernel(a.double().numpy(), b.double().numpy(), degree=3, gamma=0.2, coef0=1)
        for a, b in ((real, real), (fake, fake), (real, fake))
    )
    off = ~np.eye(30, dtype=bool)
    expected = xx[off].mean() + yy[off].mean() - 2 * xy.mean()
    found = kernel_distance(real, fake, keyed_rng(0), subsets=1, subset_size=30)
    assert found.mean == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_is_unbiased_and_not_clipped():
    values = torch.tensor(
        [
            kernel_distance(
                gaussian(20, 4, "real", k), gaussian(20, 4, "fake", k), keyed_rng(0), 1, 20
            ).mean
            for k in range(400)
        ]
    )
    assert values.mean().abs() < 3 * values.std() / math.sqrt(len(values))
    assert 0.3 < (values < 0).float().mean() < 0.8


def test_kernel_distance_draws_its_subsets_from_the_given_generator():
    real, fake = gaussian(60, 4, 7), gaussian(80, 4, 8)
    first, same, other = (
        kernel_distance(real, fake, keyed_rng(seed), subsets=5, subset_size=20)
        for seed in (1, 1, 2)
    )
    assert first == same != other
    assert first.sd > 0


def brute_force(real, fake, k):
    """Precision, recall, density and coverage by a loop over every pair."""

    def radius(rows, i):
        return sorted(math.dist(rows[i], rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    real, fake = real.double().tolist(), fake.double().tolist()
    real_radii = [radius(real, i) for i in range(len(real))]
    fake_radii = [radius(fake, j) for j in range(len(fake))]
    inside = [[math.dist(x, y) < r for y in fake] for x, r in zip(real, real_radii, strict=True)]
    precision = sum(any(row[j] for row in inside) for j in range(len(fake))) / len(fake)
    covered = sum(any(row) for row in inside) / len(real)
    density = sum(map(sum, inside)) / (k * len(fake))
    recalled = [
        any(math.dist(x, y) < r for y, r in zip(fake, fake_radii, strict=True)) for x in real
    ]
    return precision, sum(recalled) / len(real), density, covered


@pytest.mark.parametrize("chunk_rows", [7, 1024])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_neighbour_metrics_equal_a_loop_over_every_pair(monkeypatch, chunk_rows, shift):
    monkeypatch.setattr(fidelity, "CHUNK_ROWS", chunk_rows)
    real, fake = gaussian(40, 6, 9), gaussian(30, 6, 10, shift=shift)
    found = (*precision_recall(real, fake, k=3), *density_coverage(real, fake, k=3))
    assert found == pytest.approx(brute_force(real, fake, 3), abs=1e-12)


def test_neighbour_metrics_equal_those_of_sklearns_neighbours():
    real, fake = gaussian(400, 16, 11).double(), gaussian(300, 16, 12, scale=0.9).double()
    near = NearestNeighbors(n_neighbors=5).fit(real.numpy())
    radii = near.kneighbors()[0][:, -1]  # without arguments a row is not its own neighbour
    distances = np.linalg.norm(real.numpy()[:, None] - fake.numpy()[None], axis=2)
    inside = distances < radii[:, None]
    density, coverage = density_coverage(real, fake)
    assert density == pytest.approx(inside.sum() / (5 * 300), abs=1e-12)
    assert coverage == pytest.approx(inside.any(1).mean(), abs=1e-12)
    assert precision_recall(real, fake).precision == pytest.approx(inside.any(0).mean(), abs=1e-12)


def test_a_ball_is_open_and_its_own_centre_is_no_neighbour():
    real = torch.tensor([[0.0], [1.0], [3.0]])  # radii for k = 1: 1, 1, 2
    at_the_edges = torch.tensor([[-1.0], [5.0], [5.0]])
    assert density_coverage(real, at_the_edges, k=1) == (0, 0)
    assert precision_recall(real, at_the_edges, k=1).precision == 0
    within = torch.tensor([[0.5], [9.0], [9.0]])  # in the balls of 0 and 1
    assert density_coverage(real, within, k=1) == pytest.approx((2 / 3, 2 / 3))


def test_a_set_of_duplicates_has_empty_balls():
    rows = torch.full((4, 2), 0.1)
    assert precision_recall(rows, rows, k=2) == (0, 0)


def test_expected_coverage_by_hand_and_as_published():
    assert expected_coverage(2, 1, k=1) == pytest.approx(1 / 2)
    assert expected_coverage(3, 2, k=2) == pytest.approx(1 - 2 / 4 * 1 / 3)
    assert expected_coverage(10_000, 10_000) == pytest.approx(0.9688, abs=5e-5)


def test_coverage_and_density_of_equal_distributions_meet_their_expectations():
    pairs = [
        density_coverage(gaussian(100, 3, "a", k), gaussian(100, 3, "b", k)) for k in range(60)
    ]
    density, coverage = torch.tensor(pairs).mean(0).tolist()
    assert coverage == pytest.approx(expected_coverage(100, 100), abs=0.01)
    assert density == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "measure",
    [
        frechet_distance,
        lambda a, b: kernel_distance(a, b, keyed_rng(0), 1, 10),
        precision_recall,
        density_coverage,
    ],
)
def test_sets_that_cannot_be_compared_are_refused_in_one_line(measure):
    good = gaussian(10, 3, 13)
    bad = good.clone()
    bad[2, 1] = math.nan
    refusals = {
        "must have at least": (good[:1], good),
        "must have the same width": (good, good[:, :2]),
        "fake features must be finite": (good, bad),
        "must have shape \\(N, F\\)": (good[0], good),
    }
    for message, (real, fake) in refusals.items():
        with pytest.raises(ValueError, match=message) as error:
            measure(real, fake)
        assert "\n" not in str(error.value)


def test_kernel_distance_refuses_subsets_that_it_cannot_draw():
    rows = gaussian(10, 3, 14)
    for subsets, size in ((0, 5), (1, 1), (1, 11)):
        with pytest.raises(ValueError, match=r"must be 1 or more|must have at least"):
            kernel_distance(rows, rows, keyed_rng(0), subsets, size)


def test_neighbour_metrics_equal_those_of_prdc():
    prdc = pytest.importorskip("prdc", reason="the package prdc is not installed")
    real, fake = gaussian(300, 16, 13), gaussian(250, 16, 14, shift=0.1)
    theirs = prdc.compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=5)
    ours = {**precision_recall(real, fake)._asdict(), **density_coverage(real, fake)._asdict()}
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_distances_equal_those_of_torch_fidelity():
    fid = pytest.importorskip("torch_fidelity.metric_fid", reason="torch-fidelity is not installed")
    kid = importlib.import_module("torch_fidelity.metric_kid")
    real, fake = gaussian(300, 16, 15).double(), gaussian(250, 16, 16, shift=0.1).double()
    statistics = [fid.fid_features_to_statistics(rows) for rows in (real, fake)]
    theirs = fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID]
    assert frechet_distance(real, fake) == pytest.approx(theirs, rel=1e-6)
    ours = kernel_distance(real[:200], fake[:200], keyed_rng(0), 1, 200).mean
    theirs = kid.kernel_mmd(real[:200].numpy(), fake[:200].numpy(), kid_kernel="poly")
    assert ours == pytest.approx(theirs, abs=1e-6)
