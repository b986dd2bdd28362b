import math

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.metrics import bootstrap as module
from multigan.music.metrics import note_statistics as m
from multigan.music.metrics.bootstrap import bootstrap_intervals


def rows(n=400, seed=0):
    return torch.randn(n, 13, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measured(found, groups=None, reference=None):
    groups = torch.arange(len(found)) if groups is None else groups
    return bootstrap_intervals(
        found, rows(1000) if reference is None else reference, groups, keyed_rng("i")
    )


def test_a_mean_of_single_windows_has_the_interval_of_its_standard_error():
    found = rows(seed=1)
    mean, error = found[:, 4].mean().item(), found[:, 4].std().item() / math.sqrt(400)
    low, high = measured(found)["groove_consistency"]
    assert low == pytest.approx(mean - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.2 * error)


def test_windows_that_are_copies_of_one_another_say_no_more_than_one_of_them():
    pieces = rows(100, seed=2)
    found, groups = pieces.repeat_interleave(4, dim=0), torch.arange(100).repeat_interleave(4)
    assert measured(found, groups)["groove_consistency"] == pytest.approx(
        measured(pieces)["groove_consistency"]
    )
    wide, narrow = measured(pieces)["groove_consistency"], measured(found)["groove_consistency"]
    assert (narrow[1] - narrow[0]) / (wide[1] - wide[0]) == pytest.approx(0.5, abs=0.1)


def test_a_figure_is_of_the_windows_that_have_it():
    found = rows(seed=3)
    found[200:, 9] = math.nan
    ends = measured(found)["tonal_distance"]
    assert ends[0] < found[:200, 9].mean().item() < ends[1]
    found[:, 9] = math.nan
    assert "tonal_distance" not in measured(found) and "feature_frechet_distance" not in measured(
        found
    )


@pytest.mark.parametrize("clip", [None, m.CLIP])
def test_one_resample_that_takes_each_window_once_is_the_distance_itself(clip):
    reference, found = rows(300), 2 + 3 * rows(200, seed=4)
    found[:7, 3] = math.nan
    once = module._frechets(found, reference, torch.ones(1, 200, dtype=torch.float64), clip)
    assert once.item() == pytest.approx(m.feature_frechet_distance(reference, found, clip))
    twice = torch.ones(1, 200, dtype=torch.float64)
    twice[0, 10], twice[0, 11] = 2, 0
    again = found.clone()
    again[11] = found[10]
    moved = module._frechets(found, reference, twice, clip)
    assert moved.item() == pytest.approx(m.feature_frechet_distance(reference, again, clip))


def test_a_distance_has_an_interval_around_what_more_windows_would_say():
    reference, found = rows(4000), 1 + rows(400, seed=5)
    low, high = measured(found, reference=reference)["feature_frechet_distance"]
    assert low < m.feature_frechet_distance(reference, 1 + rows(40_000, seed=6)) < high
    assert (
        measured(rows(50), reference=reference)["feature_frechet_distance"][0] == 0
    )  # never below


def test_the_same_generator_draws_the_same_intervals():
    assert measured(rows(seed=7)) == measured(rows(seed=7))
