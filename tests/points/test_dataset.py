import pytest
import torch

from multigan.core.protocols import Dataset
from multigan.core.serialization import from_config, to_config
from multigan.points.dataset import NUM_HELD_OUT, GaussianMixture
from multigan.points.metrics import compute_metrics
from multigan.points.mixtures import MIXTURES


def every(data):
    return data.batch(torch.arange(len(data))).x


def test_it_keeps_the_contract():
    data = GaussianMixture(size=50)
    assert isinstance(data, Dataset)
    assert data.in_memory and not data.is_stochastic and len(data) == 50
    x, condition = data.batch(torch.tensor([3, 3, 0]))
    assert x.shape == (3, 2) and x.dtype == torch.float32 and condition is None
    assert torch.equal(x[0], x[1]) and not torch.equal(x[0], x[2])


def test_the_default_is_the_published_training_set():
    data = GaussianMixture()
    assert len(data) == 100_000 and data.domain.mixture == "grid"


def test_same_arguments_same_points_and_another_seed_others():
    first = every(GaussianMixture("ring", size=100, seed=1))
    assert torch.equal(first, every(GaussianMixture("ring", size=100, seed=1)))
    assert not torch.equal(first, every(GaussianMixture("ring", size=100, seed=2)))


def test_splits_are_deterministic_and_share_no_point():
    data = GaussianMixture(size=5000)
    parts = {name: data.split(name) for name in ("train", "valid", "test")}
    assert torch.equal(every(parts["train"]), every(data))
    assert [len(part) for part in parts.values()] == [5000, NUM_HELD_OUT, NUM_HELD_OUT]
    again = GaussianMixture(size=5000).split("test").split("valid")
    assert torch.equal(every(again), every(parts["valid"]))
    points = torch.cat([every(part) for part in parts.values()])
    assert len(points.unique(dim=0)) == len(points)


def test_fingerprints_tell_layout_seed_size_and_split_apart():
    sets = [GaussianMixture(size=9), GaussianMixture(size=8), GaussianMixture(size=9, seed=1)]
    sets += [sets[0].split("valid"), GaussianMixture("ring", size=9)]
    assert len({data.fingerprint for data in sets}) == len(sets)
    assert GaussianMixture(size=9).fingerprint == sets[0].fingerprint


def test_a_split_survives_json():
    data = GaussianMixture("ring", size=20, seed=3).split("valid")
    assert torch.equal(every(from_config(to_config(data))), every(data))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_the_points_are_true_samples_in_network_units(mixture):
    shape, points = MIXTURES[mixture], every(GaussianMixture(mixture, size=20_000))
    assert points.abs().max() < 1.2
    values = compute_metrics(points * shape.unit, shape)
    assert values["high_quality_fraction"] == pytest.approx(0.9889, abs=0.003)
    assert values["mode_std_ratio"] == pytest.approx(1, abs=0.01)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="mixture must be one of grid, ring"):
        GaussianMixture("spiral")
    with pytest.raises(ValueError, match="split must be one of train, valid, test"):
        GaussianMixture().split("dev")
    with pytest.raises(ValueError, match="size must be 1 or more"):
        GaussianMixture(size=0)
