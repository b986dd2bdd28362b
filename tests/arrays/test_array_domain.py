"""The domain of arrays: samples under conditions, files, plots, and an evaluation with a floor."""

import numpy as np
import pytest
import torch
from PIL import Image

from multigan import ArrayDataset
from multigan.arrays.domain import ArrayDomain
from multigan.core.adapters import ModuleGenerator
from multigan.core.protocols import EvaluationSkipped, Sampler
from multigan.core.serialization import from_config, to_config

LABELED = ArrayDomain((2,), (3, 7), ("three", "seven"))


class Echo(torch.nn.Module):
    """The condition itself, as a sample (B, 2)."""

    def forward(self, latent, condition):
        return condition.float().reshape(len(latent), -1).expand(-1, 2) + 0 * latent


def echo():
    return ModuleGenerator(Echo(), 2)


def test_labels_come_in_turn_or_as_requested():
    sampler = Sampler(LABELED, echo())
    assert [s[0] for s in sampler.sample(3)] == [3, 7, 3]
    assert [s[0] for s in sampler.sample(2, label="seven")] == [7, 7]
    with pytest.raises(ValueError, match="label must be one of three, seven; got 4"):
        sampler.sample(1, label="4")


def test_conditions_are_examples_of_the_data_or_a_file(tmp_path):
    rows = torch.arange(100.0)[:, None]
    sampler = Sampler(ArrayDataset(torch.zeros(100, 2), rows).domain, echo())
    assert [s[0] for s in sampler.sample(66)][62:] == [62, 63, 0, 1]  # 64 are kept
    np.save(tmp_path / "c.npy", np.array([[5.0], [6.0]]))
    assert [s[0] for s in sampler.sample(3, condition=tmp_path / "c.npy")] == [5, 6, 5]
    assert [s[0] for s in sampler.sample(2, condition=np.array([8]))] == [8, 8]


def test_the_domain_survives_json_without_its_examples():
    assert from_config(to_config(LABELED)) == LABELED
    assert from_config(to_config(LABELED.with_conditions(torch.zeros(2)))).conditions is None


@pytest.mark.parametrize("shape", [(1,), (2,), (9,), (4, 5), (3, 4, 5), (2, 4, 5)])
def test_samples_are_written_read_back_and_plotted(shape, tmp_path):
    domain = ArrayDomain(shape)
    samples = domain.decode(torch.randn(6, *shape, generator=torch.Generator().manual_seed(0)))
    (file,) = domain.write(samples, tmp_path)
    assert np.load(file).shape == (6, *shape)
    assert np.array_equal(domain.read_samples(tmp_path), samples)
    (plot,) = domain.preview(samples, tmp_path / "plot", columns=3)
    with Image.open(plot) as image:
        assert image.size == (600, 600)
    assert domain.media(samples)[0].content == plot.read_bytes() or len(shape) > 1


def evaluated(generator, x, y=None, n=400):
    data = ArrayDataset(x, y)
    test = data.split("test")
    return data.domain.evaluate(Sampler(data.domain, generator), test, torch.Generator(), None)


class Classes(torch.nn.Module):
    """Gaussians around (label, -label), of a width."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, latent, label):
        return self.width * latent + torch.stack([label, -label], 1) * 4.0


def test_an_exact_generator_reaches_the_floor_and_a_collapsed_one_does_not():
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 3
    x = rng.normal(size=(2000, 2)) + np.stack([labels, -labels], 1) * 4.0
    rows = {w: evaluated(ModuleGenerator(Classes(w), 2), x, labels).rows for w in (1.0, 0.1)}
    exact, collapsed = rows[1.0]["generator"], rows[0.1]["generator"]
    floor = rows[1.0]["real (held out)"]
    assert exact["frechet_distance"] < 3 * floor["frechet_distance"]
    assert 0.8 < exact["intra_class_std_ratio"] < 1.25 > collapsed["intra_class_std_ratio"] * 5
    assert collapsed["recall"] < 0.5 * floor["recall"]
    assert list(rows[1.0])[2:] == ["Gaussian per class", "generator"]


class Copies(torch.nn.Module):
    """Training samples, by the sign of the latent."""

    def __init__(self, rows):
        super().__init__()
        self.register_buffer("rows", rows)

    def forward(self, latent):
        return self.rows[(latent.abs().sum(1) * 1000).long() % len(self.rows)]


def test_copies_of_training_samples_are_found_also_in_a_projection():
    x = torch.randn(2000, 300, generator=torch.Generator().manual_seed(0))
    train = ArrayDataset(x).split("train")
    copies = ModuleGenerator(Copies(train.batch(torch.arange(len(train))).x), 4)
    table = evaluated(copies, x)
    assert table.model["nn_distance_ratio"] < 1e-6
    assert "50 fixed random projections of the 300 values" in table.notes[1]


def test_too_few_samples_are_not_evaluated():
    with pytest.raises(EvaluationSkipped, match="32 samples or more; got 10"):
        evaluated(echo(), np.zeros((100, 2)), np.arange(100) % 2)


def test_samples_on_a_grid_are_evaluated_though_their_nearest_ones_are_equal():
    x = np.random.default_rng(0).integers(0, 3, (400, 2)).astype("float32")
    table = evaluated(ModuleGenerator(torch.nn.Identity(), 2), x)
    assert "nn_distance_ratio" not in table.model and "coverage" in table.model
