import subprocess
import sys

import pytest
import torch
from PIL import Image

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.points.dataset import GaussianMixture
from multigan.points.domain import PointsDomain
from multigan.points.mixtures import MIXTURES
from multigan.points.models import MLPGenerator
from tests.metric_meanings import undescribed


class TrueSampler(MLPGenerator):
    """A generator that cannot be beaten: the latent is the point."""

    def __init__(self, mixture):
        super().__init__(width=1, depth=1)
        self.mixture = MIXTURES[mixture]

    def sample_latent(self, n, rng):
        return (self.mixture.sample(n, rng) / self.mixture.unit).float()

    def forward(self, latent, condition=None):
        return latent


def test_samples_survive_decoding_writing_and_reading(tmp_path):
    points = Sampler(PointsDomain("grid"), MLPGenerator()).sample(70, seed=1)
    assert len(points) == 70
    domain = PointsDomain("grid")
    (file,) = domain.write(points, tmp_path)
    assert file.name == "points.csv" and domain.read_samples(file.parent) == points
    assert file.read_text().startswith("x,y\n")


def test_decoding_undoes_the_scale_of_the_data():
    x = GaussianMixture("grid", size=200).batch(torch.arange(200)).x
    assert PointsDomain("grid").decode(x) == [tuple(p) for p in (4 * x.double()).tolist()]
    assert PointsDomain("ring").decode(x) == [tuple(p) for p in x.double().tolist()]


def test_decoding_clamps_what_flew_away():
    assert PointsDomain("grid").decode(torch.tensor([[1e30, -3.0]])) == [(8.0, -8.0)]


def test_a_sample_does_not_depend_on_how_many_are_drawn():
    sampler = Sampler(PointsDomain(), MLPGenerator())
    assert sampler.sample(100, seed=5)[:3] == sampler.sample(3, seed=5)
    assert sampler.sample(3, seed=5) != sampler.sample(3, seed=6)


def test_the_preview_shows_the_modes_and_the_points(tmp_path):
    domain = PointsDomain("ring")
    files = {
        name: domain.preview(points, tmp_path / name)[0]
        for name, points in {"a.b": [], "one": [(0.0, 0.0)], "again": [(0.0, 0.0)]}.items()
    }
    assert files["a.b"].name == "a.b.png"
    with Image.open(files["a.b"]) as picture:
        assert picture.size == (600, 600)
        assert len(picture.getcolors(10**6)) > 10
    assert files["one"].read_bytes() == files["again"].read_bytes() != files["a.b"].read_bytes()


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_true_sampler_measures_like_the_real_row(mixture, tmp_path):
    data = GaussianMixture(mixture).split("valid")
    sampler = Sampler(data.domain, TrueSampler(mixture))
    table = data.domain.evaluate(sampler, data, keyed_rng(0, "evaluate"), tmp_path)
    assert undescribed("points", table.rows) == set()
    assert list(table.rows) == ["real", "one Gaussian", "generator"]
    floor = (len(MIXTURES[mixture].means) - 1) / 5000
    for row in (table.rows["real"], table.model):
        assert row["modes"] == len(MIXTURES[mixture].means)
        assert row["high_quality_fraction"] == pytest.approx(0.9889, abs=0.008)
        assert 0 < row["reverse_kl"] < 2 * floor + 0.001
        assert row["mode_std_ratio"] == pytest.approx(1, abs=0.03)
        assert row[data.domain.selection_metric] < 0.06
    assert table.rows["one Gaussian"][data.domain.selection_metric] > 0.9
    assert any("2,500 points" in note for note in table.notes)
    assert not list(tmp_path.iterdir())


def test_an_evaluation_is_repeatable(tmp_path):
    data = GaussianMixture("ring", size=500)
    sampler = Sampler(data.domain, MLPGenerator())
    first, again, other = (
        data.domain.evaluate(sampler, data, keyed_rng(seed), tmp_path).rows for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_domain_survives_json_and_refuses_an_unknown_layout():
    assert from_config(to_config(PointsDomain("ring"))) == PointsDomain("ring")
    with pytest.raises(ValueError, match="mixture must be one of grid, ring"):
        PointsDomain("spiral")


def test_importing_the_package_imports_no_torch():
    code = "import sys, multigan.points; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
