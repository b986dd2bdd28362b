"""The moving average of the generator: half-life, ramp-up, buffers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from multigan.engine.averaging import EMA, RAMPUP_RATIO

LATE = 10**9  # samples seen: far behind the ramp-up


class OneNumber(nn.Module):
    """A weight, a float buffer and an integer buffer, as a batch norm has them."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))
        self.register_buffer("mean", torch.tensor([value]))
        self.register_buffer("count", torch.tensor(0))


def distance_after(samples: int, per_update: int, halflife: float, samples_seen: int = LATE):
    """How far the average still is from a weight that jumped from 0 to 1."""
    module = OneNumber(0.0)
    ema = EMA(module)
    module.weight.data.fill_(1.0)
    for _ in range(samples // per_update):
        ema.update(per_update, samples_seen, halflife)
    return 1 - ema.module.weight.item()


@pytest.mark.parametrize("per_update", [1, 10, 100])
def test_after_one_half_life_half_the_distance_is_left(per_update):
    assert distance_after(100, per_update, 100) == pytest.approx(0.5, abs=1e-5)
    assert distance_after(200, per_update, 100) == pytest.approx(0.25, abs=1e-5)


def test_a_half_life_of_zero_copies():
    assert distance_after(1, 1, 0) == 0


def test_the_half_life_ramps_up_with_the_samples_seen():
    assert RAMPUP_RATIO == 0.05
    # after 1000 samples the half-life is at most 50, whatever the recipe says
    assert distance_after(50, 50, 10_000, samples_seen=1000) == pytest.approx(0.5, abs=1e-6)
    assert distance_after(50, 50, 25, samples_seen=1000) == pytest.approx(0.25, abs=1e-6)


def test_buffers_are_copied_and_integers_never_averaged():
    module = OneNumber(0.0)
    ema = EMA(module)
    module.mean.fill_(8.0)
    module.count.fill_(7)
    ema.update(1, LATE, 1e6)
    assert ema.module.mean.item() == 8 and ema.module.count.item() == 7
    assert ema.module.count.dtype == torch.int64


def test_the_average_is_a_frozen_copy_in_eval_mode():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    ema = EMA(module)
    assert not any(part.training for part in ema.module.modules())
    assert all(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
    module[0].weight.data.add_(1)
    assert not torch.equal(ema.module[0].weight, module[0].weight)


def test_tied_weights_are_averaged_once_and_stay_tied():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(1, 1, bias=False)
            self.b = self.a

    module = Tied()
    module.a.weight.data.fill_(0.0)
    ema = EMA(module)
    module.a.weight.data.fill_(1.0)
    ema.update(10, LATE, 10)
    assert ema.module.a is ema.module.b and ema.module.b.weight.item() == pytest.approx(0.5)


def test_a_module_without_parameters_can_be_followed():
    EMA(nn.Tanh()).update(1, 1, 1.0)


class Normalized(nn.Module):
    """Batch norm of a linear map of latent plus condition."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1, bias=False)
        self.norm = nn.BatchNorm1d(1)
        self.dropout = nn.Dropout(0.5)
        nn.init.constant_(self.linear.weight, 2.0)

    def forward(self, latent, condition):
        return self.dropout(self.norm(self.linear(latent + condition)))


def test_statistics_of_batch_norm_are_the_means_over_all_batches_under_the_averaged_weights():
    ema = EMA(Normalized())
    assert ema.needs_statistics
    first = (torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]]))  # maps to 2, 6
    second = (torch.tensor([[1.0], [1.0]]), torch.tensor([[0.0], [4.0]]))  # maps to 2, 10
    momentum = ema.module.norm.momentum
    ema.update_statistics([first, second])
    norm = ema.module.norm
    assert norm.running_mean.item() == pytest.approx((4 + 6) / 2)
    assert norm.running_var.item() == pytest.approx((8 + 32) / 2)  # unbiased
    assert norm.momentum == momentum and not any(m.training for m in ema.module.modules())


def test_a_module_without_running_statistics_needs_none():
    assert not EMA(nn.Linear(1, 1)).needs_statistics
    assert not EMA(nn.BatchNorm1d(1, track_running_stats=False)).needs_statistics


def test_statistics_are_overwritten_by_the_next_update():
    module = Normalized()
    ema = EMA(module)
    ema.update_statistics([(torch.tensor([[5.0], [9.0]]), torch.zeros(2, 1))])
    ema.update(1, LATE, 1e6)
    torch.testing.assert_close(ema.module.norm.running_mean, module.norm.running_mean)
