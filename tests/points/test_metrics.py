"""Points whose modes, shares and distances can be counted by hand."""

import math

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.points.metrics import (
    CEILING,
    compute_metrics,
    mode_counts,
    mode_std_ratios,
    nearest_modes,
    reverse_kl,
    total_variation,
)
from multigan.points.mixtures import MIXTURES, get_mixture

GRID, RING = MIXTURES["grid"], MIXTURES["ring"]


def test_layouts_are_those_of_the_published_protocol():
    assert len(GRID.means) == 25 and GRID.sd == 0.05
    assert GRID.centers().unique().tolist() == [-4, -2, 0, 2, 4]
    assert len(set(GRID.means)) == 25
    assert len(RING.means) == 8 and RING.sd == 0.01
    torch.testing.assert_close(RING.centers().norm(dim=1), torch.ones(8).double())
    assert all((mixture.centers() / mixture.unit).abs().max() == 1 for mixture in MIXTURES.values())


def test_an_unknown_layout_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="mixture must be one of grid, ring; got 'spiral'"):
        get_mixture("spiral")


def test_distance_is_counted_in_standard_deviations_of_the_nearest_mode():
    modes, distances = nearest_modes(torch.tensor([[4.0, 3.9], [1.1, 0.0]]), GRID)
    assert [GRID.means[k] for k in modes.tolist()] == [(4, 4), (2, 0)]
    torch.testing.assert_close(distances.float(), torch.tensor([2.0, 18.0]))


def test_only_points_within_three_standard_deviations_count():
    counts = mode_counts(torch.tensor([[1.029, 0.0], [1.031, 0.0], [0.0, 1.0], [0.0, 0.5]]), RING)
    assert counts.tolist() == [1, 0, 1, 0, 0, 0, 0, 0]


def test_reverse_kl_equals_the_hand_value():
    assert reverse_kl(torch.tensor([5, 5, 5, 5])) == 0
    assert reverse_kl(torch.tensor([7, 0, 0, 0])) == pytest.approx(math.log(4))
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert reverse_kl(torch.tensor([30, 10])) == pytest.approx(by_hand)
    assert math.isnan(reverse_kl(torch.tensor([0, 0])))


def test_total_variation_equals_the_hand_value():
    assert total_variation(torch.tensor([0, 0]), 10) == pytest.approx(CEILING)  # all astray
    assert total_variation(torch.tensor([10, 0]), 10) == pytest.approx(1 - CEILING / 2)
    assert total_variation(torch.tensor([5, 5]), 10) == pytest.approx(1 - CEILING)


def test_sd_ratio_is_one_for_a_true_mode_and_follows_its_width():
    noise = torch.randn(40_000, 2, generator=keyed_rng(0, "sd"), dtype=torch.float64)
    true, narrow = 2 + 0.05 * noise, -4 + 0.01 * noise
    lone = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    ratios = mode_std_ratios(torch.cat([true, narrow, lone]), GRID)
    of = dict(zip(GRID.means, ratios.tolist(), strict=True))
    assert of[2.0, 2.0] == pytest.approx(1, abs=0.01)
    assert of[-4.0, -4.0] == pytest.approx(0.2 / 0.9743, abs=0.01)  # too narrow to be cut
    assert math.isnan(of[0.0, 0.0]) and math.isnan(of[4.0, 0.0])


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_a_true_sampler_reaches_the_ceiling_and_the_floor(mixture):
    values = compute_metrics(mixture.sample(20_000, keyed_rng(0, "truth")), mixture)
    assert values["modes"] == len(mixture.means)
    assert values["high_quality_fraction"] == pytest.approx(0.9889, abs=0.003)
    floor = (len(mixture.means) - 1) / 40_000
    assert 0.3 * floor < values["reverse_kl"] < 2.5 * floor
    assert values["total_variation"] < 0.03
    assert values["mode_std_ratio"] == pytest.approx(1, abs=0.01)
    assert values["min_mode_fraction"] > 0.8


def test_what_is_undefined_is_left_out():
    far = compute_metrics(torch.full((3, 2), 9.0), GRID)
    assert set(far) == {"modes", "high_quality_fraction", "total_variation"}
    assert far["modes"] == far["high_quality_fraction"] == 0


def test_the_selection_metric_orders_truth_before_a_missing_mode_before_collapse_and_blob():
    rng = keyed_rng(0, "order")
    truth = GRID.sample(2500, rng)
    without_one = truth[nearest_modes(truth, GRID)[0] != 7]
    collapsed = torch.tensor(GRID.means[0]) + 0.05 * torch.randn(2500, 2, generator=rng)
    blob = 2.8 * torch.randn(2500, 2, generator=rng)
    scores = [
        compute_metrics(x, GRID)["total_variation"] for x in (truth, without_one, collapsed, blob)
    ]
    assert scores[0] < 0.06 and scores[0] + 0.01 < scores[1] < 0.1
    assert scores[2] > 0.9 and scores[3] > 0.9
