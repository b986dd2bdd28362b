"""Stacks are composed of images of the split, and their modes are counted correctly."""

import json
import math

import pytest
import torch
from torch import nn

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.image.datasets.images import ImageDataset
from multigan.image.datasets.stacked import StackedImages
from multigan.image.metrics import evaluation, image_metrics, path_length
from multigan.image.metrics.mode_coverage import mode_coverage
from tests.image.example_shapes import EXAMPLES

EVEN = torch.full((10,), 0.1)


@pytest.fixture(scope="module")
def stacks():
    return StackedImages("digits", 8)


def whole(data):
    return data.batch(torch.arange(len(data)))


def test_a_stack_holds_images_of_its_own_split_only(stacks):
    for name, size in (("train", 128_000), ("valid", 4_000), ("test", 26_000)):
        split = stacks.split(name)
        known = {p.numpy().tobytes() for p in whole(ImageDataset("digits", 8, name)).x}
        assert len(split) == size
        x = split.batch(torch.tensor([0, 7, size - 1])).x
        assert x.shape == (3, 3, 8, 8)
        assert all(x[i, c].numpy().tobytes() in known for i in range(3) for c in range(3))


def test_a_stack_depends_on_its_number_alone(stacks):
    some = stacks.batch(torch.tensor([5, 3, 127_999])).x
    assert torch.equal(some[1], stacks.batch(torch.arange(10)).x[3])
    again = from_config(json.loads(json.dumps(to_config(stacks))))
    assert torch.equal(again.batch(torch.tensor([5, 3, 127_999])).x, some)
    other = StackedImages("digits", 8, seed=1)
    assert other.fingerprint != stacks.fingerprint
    assert not torch.equal(other.batch(torch.arange(3)).x, stacks.batch(torch.arange(3)).x)


def test_all_triples_are_there_and_nearly_even(stacks):
    labels = whole(stacks.grayscale_source).condition
    found = mode_coverage(labels[stacks._picks], labels.bincount() / len(labels))
    assert found["modes_covered"] == 1000
    floor = 999 / (2 * 128_000)
    assert found["kl_to_class_prior"] == pytest.approx(floor, rel=0.15)
    assert found["kl_to_uniform"] > found["kl_to_class_prior"]


def test_color_sources_and_unknown_splits_are_refused():
    with pytest.raises(ValueError, match="split must be one of train, valid, test; got 'all'"):
        StackedImages("digits", 8, "all")
    with pytest.raises(ValueError, match="images must be grayscale and labeled"):
        StackedImages(str(EXAMPLES), 8)


def test_coverage_by_hand():
    classes = torch.tensor([[0, 0], [0, 1], [0, 1], [1, 1]])
    found = mode_coverage(classes, torch.tensor([0.25, 0.75]))
    assert found["modes_covered"] == 3
    by_hand = 0.25 * math.log(1) + 0.5 * math.log(2) + 0.25 * math.log(1)
    assert found["kl_to_uniform"] == pytest.approx(by_hand)
    to_prior = sum(p * math.log(p / q) for p, q in ((0.25, 0.0625), (0.5, 0.1875), (0.25, 0.5625)))
    assert found["kl_to_class_prior"] == pytest.approx(to_prior)


def test_a_perfect_sampler_scores_the_floor_and_a_collapsed_one_all():
    drawn = torch.randint(10, (26_000, 3), generator=keyed_rng("triples"))
    found = mode_coverage(drawn, EVEN)
    assert found["modes_covered"] == 1000 and found["kl_to_uniform"] == pytest.approx(
        0.0192, abs=0.003
    )
    assert mode_coverage(torch.zeros(50, 3, dtype=torch.long), EVEN) == {
        "modes_covered": 1,
        "kl_to_uniform": pytest.approx(math.log(1000)),
        "kl_to_class_prior": pytest.approx(math.log(1000)),
    }


class Replaying(nn.Module):
    """Draws stacks of the given data, all of them or the first few."""

    def __init__(self, data, few=None):
        super().__init__()
        self.data, self.few = data, few or len(data)

    def sample_latent(self, n, rng):
        return torch.randint(self.few, (n,), generator=rng)

    def forward(self, latent, condition=None):
        return self.data.batch(latent).x


def test_the_table_counts_modes_in_as_many_stacks_as_the_split_holds(
    stacks, full_cache, monkeypatch
):
    monkeypatch.setattr(evaluation, "NUM_EVAL_IMAGES", 128)  # of the other columns
    monkeypatch.setattr(image_metrics, "SUBSETS", 2)
    monkeypatch.setattr(path_length, "NUM_POSITIONS", 2)

    def table(generator):
        sampler = Sampler(stacks.domain, generator)
        return stacks.domain.evaluate(sampler, stacks.split("valid"), keyed_rng(0), full_cache)

    every, few = table(Replaying(stacks)), table(Replaying(stacks, few=20)).model
    assert every.model["modes_covered"] == pytest.approx(
        every.rows["real (held out)"]["modes_covered"], abs=15
    )
    assert 960 < every.model["modes_covered"] <= 1000 and few["modes_covered"] <= 20
    assert every.model["kl_to_uniform"] < 0.2 and few["kl_to_uniform"] > 3.5
    assert "modes_covered" not in every.rows["one Gaussian"]
    assert any("in 4,000 stacks" in note and "% on" in note for note in every.notes)
    assert any("about 0.1249 at this count" in note for note in every.notes)
    assert every.rows["real (train)"]["memorized_fraction"] == 1
