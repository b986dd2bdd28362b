"""The path length of linear paths is known; any detour is longer."""

import pytest
import torch
from torch import nn

from multigan.image.generators import slerp
from multigan.image.smoothness import path_figures
from multigan.rng import keyed_rng


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
        shift = 0 if condition is None else 100.0 * condition[:, None]
        return latent @ self.weight.T + shift

    def interpolate(self, a, b, t):
        return slerp(a, b, t) if self.curved else (1 - t) * a + t * b


class Jumping(Linear):
    """Pictures that stand still for most of the way and then change within a fifth of it."""

    def interpolate(self, a, b, t):
        s = min(1.0, max(0.0, 5 * (t - 0.4)))
        return (1 - s) * a + s * b


class Lost(nn.Module):
    """A generator without paths."""


def features(x):
    return x


def test_a_straight_path_is_as_long_as_its_ends_are_apart():
    found = path_figures(Linear(), features, None, keyed_rng(0))
    assert found["path_ratio"] == pytest.approx(1, rel=0.01)
    assert found["path_length"] == pytest.approx(2 * (9 + 16), rel=0.2)  # E |W (b - a)|^2


def test_a_sudden_change_is_longer():
    assert path_figures(Jumping(), features, None, keyed_rng(0))["path_ratio"] > 3


def test_an_arc_equals_its_length_in_float64():
    found = path_figures(Linear(curved=True).train(), features, None, keyed_rng(1))
    rng = keyed_rng("many")
    a, b = (torch.randn(200_000, 2, generator=rng, dtype=torch.float64) for _ in "ab")
    t, weight = torch.rand(200_000, 1, generator=rng, dtype=torch.float64), torch.tensor([3.0, 4.0])
    speed = (slerp(a, b, t + 1e-6) - slerp(a, b, t)) * weight / 1e-6
    expected = float(speed.square().sum(1).mean())
    assert found["path_length"] == pytest.approx(expected, rel=0.2)


def test_labels_stay_along_a_path():
    labelled = path_figures(Linear(), features, torch.arange(40), keyed_rng(0))
    plain = path_figures(Linear(), features, None, keyed_rng(0))
    assert labelled["path_length"] == pytest.approx(plain["path_length"], rel=0.05)


def test_a_generator_without_paths_has_no_figure():
    assert path_figures(Lost(), features, None, keyed_rng(0)) == {}
