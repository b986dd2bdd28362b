"""The path length of linear paths is known; any detour is longer."""

import pytest
import torch
from torch import nn

from multigan.core.fitting import build_with_seed
from multigan.core.interpolation import slerp
from multigan.core.rng import keyed_rng
from multigan.image.metrics.path_length import path_length
from multigan.image.models import layers
from multigan.image.models.r3gan import R3GANGenerator


class Linear(nn.Module):
    """G(z) = W z, its paths straight lines."""

    def __init__(self, curved=False):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
        self.curved = curved

    def sample_latent(self, n, rng):
        return torch.randn(n, 2, generator=rng)

    def forward(self, latent, condition=None):
        assert not self.training
        return latent @ self.weight.T

    def interpolate(self, a, b, t):
        return slerp(a, b, t) if self.curved else (1 - t) * a + t * b


class Jumping(Linear):
    """Images that stand still for most of the way and then change within a fifth of it."""

    def interpolate(self, a, b, t):
        s = min(1.0, max(0.0, 5 * (t - 0.4)))
        return (1 - s) * a + s * b


class Lost(nn.Module):
    """A generator without paths."""


def features(x):
    return x


def test_a_straight_path_is_as_long_as_its_ends_are_apart():
    found = path_length(Linear(), features, None, keyed_rng(0))
    assert found["path_length_ratio"] == pytest.approx(1, rel=0.01)
    assert found["path_length"] == pytest.approx(2 * (9 + 16), rel=0.2)  # E |W (b - a)|^2


def test_a_sudden_change_is_longer():
    assert path_length(Jumping(), features, None, keyed_rng(0))["path_length_ratio"] > 3


def test_an_arc_equals_its_length_in_float64():
    found = path_length(Linear(curved=True).train(), features, None, keyed_rng(1))
    rng = keyed_rng("many")
    a, b = (torch.randn(200_000, 2, generator=rng, dtype=torch.float64) for _ in "ab")
    t, weight = torch.rand(200_000, 1, generator=rng, dtype=torch.float64), torch.tensor([3.0, 4.0])
    speed = (slerp(a, b, t + 1e-6) - slerp(a, b, t)) * weight / 1e-6
    expected = float(speed.square().sum(1).mean())
    assert found["path_length"] == pytest.approx(expected, rel=0.2)


class Wider(Linear):
    """Images of class k change k times as much along a path."""

    def forward(self, latent, condition=None):
        self.seen.append(condition)
        return condition[:, None] * super().forward(latent)


def test_each_path_keeps_a_label_of_its_own_and_shows_it():
    generator, labels = Wider(), torch.arange(1, 41)
    generator.seen = []
    found = path_length(generator, features, labels, keyed_rng(0))
    plain = path_length(Linear(), features, None, keyed_rng(0))
    squares = float(labels.square().double().mean())
    assert found["path_length"] == pytest.approx(squares * plain["path_length"], rel=0.2)
    assert found["path_length_ratio"] == pytest.approx(1, rel=0.01)
    walks = torch.stack(generator.seen).unflatten(0, (-1, 4))  # two steps and two ends each
    assert (walks == walks[:, :1]).all()
    assert sorted(walks.unique().tolist()) == labels.tolist()


def test_stages_that_train_in_bf16_are_measured_in_float32(monkeypatch):
    generator = build_with_seed(
        lambda: R3GANGenerator(8, 1, (16, 16), 1, bf16_stages=1), keyed_rng(0)
    )
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=keyed_rng("more"))
    measured = (lambda x: x.flatten(1), None)
    plain = path_length(generator, *measured, keyed_rng(0))
    monkeypatch.setattr(layers, "FLOAT32_ONLY", ())
    assert path_length(generator, *measured, keyed_rng(0)) == plain
    assert 1 < plain["path_length_ratio"] < 10


def test_convolutions_keep_all_bits_while_a_path_is_measured():
    seen, before = [], torch.backends.cudnn.allow_tf32

    def looking(x):
        seen.append(torch.backends.cudnn.allow_tf32)
        return x

    path_length(Linear(), looking, None, keyed_rng(0))
    assert set(seen) == {False} and torch.backends.cudnn.allow_tf32 == before


def test_a_generator_without_paths_has_no_figure():
    assert path_length(Lost(), features, None, keyed_rng(0)) == {}
