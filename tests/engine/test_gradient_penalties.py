"""Penalties on D's slope: their values, their own gradients, and what they must not depend on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.core.rng import keyed_rng
from multigan.engine.gradient_penalties import (
    PENALTIES,
    dragan_points,
    get_penalty,
    random_interpolates,
)
from multigan.engine.objective import Objective
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import LinearDiscriminator, record_gradients, toy_recipe

GAMMA = 3.0
SHAPES = [(2,), (3, 8, 8), (5, 7)]  # points, pictures, one-hot text (T, V)


def slope_of_length(length: float, shape: tuple[int, ...]) -> Tensor:
    slope = torch.randn(shape, generator=keyed_rng("slope"), dtype=torch.float64)
    return length * slope / slope.norm()


def batch_of(n: int, shape: tuple[int, ...], key: str) -> Tensor:
    return torch.randn(n, *shape, generator=keyed_rng(key), dtype=torch.float64)


def terms(
    discriminator: Any, name: str, real: Tensor, fake: Tensor, augment: Any = None
) -> dict[str, Tensor]:
    """D's loss and its parts; the game is Wasserstein's, whose own value is mean f - mean r."""
    objective = Objective(discriminator, "wasserstein", {name: GAMMA}, augment)
    return objective.discriminator_loss(real, fake, None, {name: GAMMA}, keyed_rng("draws"))


def penalty(
    discriminator: Any, name: str, real: Tensor, fake: Tensor, augment: Any = None
) -> Tensor:
    """What the penalty adds to D's loss, gamma included."""
    found = terms(discriminator, name, real, fake, augment)
    game = found["logits/fake"] - found["logits/real"]
    return found["loss/discriminator"] - game


def expected_for_slope(name: str, length: float) -> float:
    return {
        "r1": GAMMA / 2 * length**2,
        "r2": GAMMA / 2 * length**2,
        "wgan_gp": GAMMA * (length - 1) ** 2,
        "dragan": GAMMA * (length - 1) ** 2,
        "one_sided_gp": GAMMA * max(0.0, length - 1) ** 2,
    }[name]


class Bowl(nn.Module):
    """sum_k s_k x_k^2 / 2, whose slope s x differs from sample to sample."""

    uses_batch_statistics = False

    def __init__(self, curvature: Tensor) -> None:
        super().__init__()
        self.curvature = nn.Parameter(curvature)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return (self.curvature * x**2).flatten(1).sum(1) / 2


# values


@pytest.mark.parametrize("length", [0.5, 2.0])
@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PENALTIES)
def test_a_linear_discriminator_pays_by_its_slope_alone(name, shape, n, length):
    discriminator = LinearDiscriminator(slope_of_length(length, shape))
    found = penalty(discriminator, name, batch_of(n, shape, "real"), batch_of(n, shape, "fake"))
    assert found.item() == pytest.approx(expected_for_slope(name, length), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_r1_is_taken_at_the_reals_and_r2_at_the_fakes(name):
    bowl = Bowl(torch.ones(2, dtype=torch.float64))
    real = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)  # |x|^2: 1 and 4
    fake = torch.tensor([[3.0, 0.0], [0.0, 0.0]], dtype=torch.float64)  # |x|^2: 9 and 0
    expected = {"r1": GAMMA / 2 * 2.5, "r2": GAMMA / 2 * 4.5}[name]
    assert penalty(bowl, name, real, fake).item() == pytest.approx(expected)


def test_both_ends_together_cost_the_sum():
    bowl = Bowl(torch.ones(2, dtype=torch.float64))
    real, fake = batch_of(3, (2,), "real"), batch_of(3, (2,), "fake")
    objective = Objective(bowl, "wasserstein", {"r1": 1.0, "r2": 1.0})
    found = objective.discriminator_loss(real, fake, None, {"r1": 1.0, "r2": 2.0}, keyed_rng(0))
    game = bowl(fake).mean() - bowl(real).mean()
    expected = game + real.square().sum(1).mean() / 2 + fake.square().sum(1).mean()
    assert found["loss/discriminator"].item() == pytest.approx(expected.item())


# not dragan: its noise is as wide as the whole batch's standard deviation
@pytest.mark.parametrize("name", ["r1", "r2", "wgan_gp", "one_sided_gp"])
def test_the_penalty_of_a_batch_is_the_mean_over_its_samples(name):
    bowl = Bowl(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    real = batch_of(2, (3,), "real")
    # points in between depend on draws; where both ends are the same point, they do not
    fake = batch_of(2, (3,), "fake") if name in ("r1", "r2") else real
    whole = penalty(bowl, name, real, fake).item()
    halves = [penalty(bowl, name, real[k : k + 1], fake[k : k + 1]).item() for k in range(2)]
    swapped = penalty(bowl, name, real.flip(0), fake.flip(0)).item()
    assert abs(halves[0] - halves[1]) > 0.1
    assert whole == pytest.approx(sum(halves) / 2, rel=1e-9)
    assert whole == pytest.approx(swapped, rel=1e-9)


def test_every_sample_has_an_interpolation_coefficient_of_its_own():
    real = torch.zeros(1000, 2, dtype=torch.float64)
    fake = torch.tensor([0.6, 0.8], dtype=torch.float64).expand(1000, 2)
    lengths = random_interpolates(real, fake, keyed_rng(0)).norm(
        dim=1
    )  # 1 - e, the slopes of |x|^2 / 2
    assert len(lengths.unique()) == 1000
    assert lengths.min() >= 0 and lengths.max() <= 1
    assert lengths.mean().item() == pytest.approx(0.5, abs=0.05)
    assert lengths.square().mean().item() == pytest.approx(1 / 3, abs=0.05)


def test_the_slopes_of_wgan_gp_differ_within_a_batch():
    bowl = Bowl(torch.ones(2, dtype=torch.float64))
    real = torch.zeros(5, 2, dtype=torch.float64)
    fake = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(5, 2)
    e = 1 - random_interpolates(real, fake, keyed_rng("draws")).norm(
        dim=1
    )  # the draws that `penalty` makes
    expected = GAMMA * e.square().mean()  # |slope| = 1 - e
    assert penalty(bowl, "wgan_gp", real, fake).item() == pytest.approx(expected.item(), rel=1e-6)
    assert e.std().item() > 0.1


def test_one_coefficient_serves_every_cell_of_a_sample():
    points = random_interpolates(torch.zeros(4, 3, 5, 5), torch.ones(4, 3, 5, 5), keyed_rng(0))
    assert torch.equal(points, points[:, :1, :1, :1].expand_as(points))


def test_dragan_looks_near_the_reals_and_never_at_the_fakes():
    real = 2 * batch_of(400, (3,), "real")
    moved = dragan_points(real, real + 100, keyed_rng(0)) - real
    reach = 0.5 * real.std().item()
    assert moved.min() >= 0 and reach / 2 < moved.max() <= reach
    assert moved.mean().item() == pytest.approx(reach / 4, rel=0.1)  # E e = E u = 1/2
    assert len(moved.amax(1).unique()) == 400


# what a penalty must, and must not, depend on


def test_r1_grows_fourfold_when_height_and_width_double():
    real = {side: batch_of(2, (3, side, side), "real") for side in (4, 8)}
    found = {
        side: penalty(LinearDiscriminator(torch.full((3, side, side), 0.1).double()), "r1", x, x)
        for side, x in real.items()
    }
    assert found[8].item() == pytest.approx(4 * found[4].item())


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_the_slope_is_taken_before_augmentation(name):
    discriminator = LinearDiscriminator(slope_of_length(2.0, (3, 8, 8)))
    real, fake = batch_of(4, (3, 8, 8), "real"), batch_of(4, (3, 8, 8), "fake")
    found = penalty(discriminator, name, real, fake, lambda x, condition, rng: (5 * x, condition))
    assert found.item() == pytest.approx(GAMMA / 2 * 5**2 * 2**2)


def test_every_penalty_sees_the_augmentation():
    discriminator = LinearDiscriminator(slope_of_length(2.0, (2,)))
    x = batch_of(4, (2,), "real")
    for name in ("wgan_gp", "dragan", "one_sided_gp"):
        found = penalty(discriminator, name, x, x, lambda x, condition, rng: (5 * x, condition))
        assert found.item() == pytest.approx(GAMMA * 9**2)  # |slope| = 10


@pytest.mark.parametrize("name", PENALTIES)
def test_gamma_does_not_depend_on_the_number_of_logits(name):
    class Repeated(LinearDiscriminator):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return super().forward(x)[:, None, None].expand(-1, 4, 3)

    slope = slope_of_length(2.0, (6,))
    real, fake = batch_of(3, (6,), "real"), batch_of(3, (6,), "fake")
    one = penalty(LinearDiscriminator(slope), name, real, fake)
    twelve = penalty(Repeated(slope), name, real, fake)
    assert twelve.item() == pytest.approx(one.item())


# the penalty's own gradient


def test_the_gradient_of_r1_is_gamma_times_the_slope():
    discriminator = LinearDiscriminator(slope_of_length(2.0, (3, 8, 8)))
    x = batch_of(2, (3, 8, 8), "real")
    penalty(discriminator, "r1", x, x).backward()
    torch.testing.assert_close(discriminator.slope.grad, GAMMA * discriminator.slope.detach())


def test_the_gradient_of_wgan_gp_pulls_the_slope_to_one():
    discriminator = LinearDiscriminator(slope_of_length(2.0, (2,)))
    x = batch_of(2, (2,), "real")
    penalty(discriminator, "wgan_gp", x, x).backward()
    expected = 2 * GAMMA * (2 - 1) * discriminator.slope.detach() / 2
    torch.testing.assert_close(discriminator.slope.grad, expected)


def test_one_sided_gp_leaves_gentle_slopes_alone():
    discriminator = LinearDiscriminator(slope_of_length(0.9, (2,)))
    x = batch_of(2, (2,), "real")
    penalty(discriminator, "one_sided_gp", x, x).backward()
    assert discriminator.slope.grad.abs().max() < 1e-9


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_discriminator_has_a_finite_penalty_gradient(name):
    discriminator = LinearDiscriminator(torch.zeros(2, dtype=torch.float64))
    x = batch_of(2, (2,), "real")
    penalty(discriminator, name, x, x).backward()
    assert torch.isfinite(discriminator.slope.grad).all()


class GivenWeights:
    """A perceptron on weights that are handed in, so that gradcheck can move them."""

    uses_batch_statistics = False

    def __init__(self, first: Tensor, last: Tensor) -> None:
        self.first, self.last = first, last

    def __call__(self, x: Tensor, condition: Any = None) -> Tensor:
        return (x.flatten(1) @ self.first).tanh() @ self.last


@pytest.mark.parametrize("name", PENALTIES)
def test_the_whole_loss_has_the_gradient_that_finite_differences_find(name):
    real, fake = batch_of(3, (2, 2), "real"), batch_of(3, (2, 2), "fake")
    first = (2 * batch_of(4, (3,), "first")).requires_grad_()
    last = (2 * batch_of(1, (3,), "last")[0]).requires_grad_()  # steep: one-sided must be active

    def bend(x: Tensor, condition: Any, rng: torch.Generator) -> tuple[Tensor, Any]:
        return (1.1 * x).sin(), condition

    def loss(first: Tensor, last: Tensor) -> Tensor:
        found = terms(GivenWeights(first, last), name, real, fake, bend)
        assert found[f"penalty/{name}"].item() > 0.1
        return found["loss/discriminator"]

    assert torch.autograd.gradcheck(loss, (first, last))
    assert torch.autograd.gradgradcheck(loss, (first, last))


# lazy penalties


@pytest.mark.parametrize("every", [2, 4])
@pytest.mark.parametrize("discriminator_steps", [1, 2])
def test_over_k_updates_a_lazy_penalty_pulls_as_one_of_every_update(every, discriminator_steps):
    def mean_gradient(penalty_interval: int) -> Tensor:
        discriminator = LinearDiscriminator(torch.tensor([1.2, -0.5]))
        recipe = toy_recipe(
            discriminator=discriminator,
            loss="wasserstein",
            penalties={"r1": 0.7, "wgan_gp": 0.3},
            penalty_interval=penalty_interval,
            discriminator_steps=discriminator_steps,
            steps=4,
        )
        trainer = AdversarialTrainer(recipe)
        recorded = record_gradients(trainer)["discriminator"]
        present = ["penalty/r1" in step.values for step in trainer.steps()]
        assert all(present) == (penalty_interval <= discriminator_steps)
        assert len(recorded.gradients) == 4 * discriminator_steps
        return torch.stack([found["slope"] for found in recorded.gradients]).mean(0)

    torch.testing.assert_close(mean_gradient(every), mean_gradient(1))


def test_an_unknown_penalty_is_answered_with_the_known_ones():
    assert math.isfinite(get_penalty("r1").cost(torch.zeros(1)).item())
    with pytest.raises(ValueError, match="penalty must be one of r1, r2, wgan_gp"):
        get_penalty("r3")
