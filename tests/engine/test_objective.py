"""What each network minimises on one batch: forwards, freezing, weights, conditions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.core.rng import keyed_rng
from multigan.engine.losses import LOSSES
from multigan.engine.objective import Objective, as_weighted_logits, frozen_parameters
from tests.toy_domain import CLASSES, IdentityDiscriminator, ToyDiscriminator, draw_weights

LIVE = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])


def points(key: str, n: int = 6) -> Tensor:
    return torch.randn(n, 2, generator=keyed_rng(key))


def gradients(loss: Tensor, network: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


class Counted(ToyDiscriminator):
    """Keeps the number of samples of every forward pass."""

    def __init__(self, uses_batch_statistics: bool = False) -> None:
        super().__init__()
        self.uses_batch_statistics = uses_batch_statistics
        self.forwards: list[int] = []

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        self.forwards.append(len(x))
        return super().forward(x, condition)


class BatchNormed(nn.Module):
    """A discriminator that mixes the samples of a batch."""

    uses_batch_statistics = True

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2, affine=False)
        self.head = nn.Linear(2, 1)
        draw_weights(self, "batch normed")

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.head(self.norm(x).tanh()).squeeze(1)


# forwards


@pytest.mark.parametrize("loss", LOSSES)
def test_one_concatenated_forward_equals_two_separate_ones(loss):
    together, apart = Counted(), Counted(uses_batch_statistics=True)
    found = []
    for network in (together, apart):
        objective = Objective(network, loss, {})
        values = objective.discriminator_loss(points("r"), points("f"), None, {}, keyed_rng(0))
        found.append((values, gradients(values["loss/discriminator"], network)))
    assert together.forwards == [12] and apart.forwards == [6, 6]
    torch.testing.assert_close(found[0], found[1])


def test_slopes_of_a_concatenated_forward_equal_those_of_separate_ones():
    network = Counted()
    real, fake = points("r"), points("f")
    objective = Objective(network, "relativistic", {"r1": 1.0, "r2": 1.0})
    gammas = {"r1": 2.0, "r2": 0.5}
    values = objective.discriminator_loss(real, fake, None, gammas, keyed_rng(0))
    assert network.forwards == [12]

    leaves = real.clone().requires_grad_(), fake.clone().requires_grad_()
    logits = [network(leaf) for leaf in leaves]
    expected = nn.functional.softplus(logits[1] - logits[0]).mean()
    for gamma, logit, leaf in zip((2.0, 0.5), logits, leaves, strict=True):
        (slope,) = torch.autograd.grad(logit.sum(), leaf, create_graph=True)
        expected = expected + gamma / 2 * slope.square().sum(1).mean()
    torch.testing.assert_close(values["loss/discriminator"], expected)
    torch.testing.assert_close(
        gradients(values["loss/discriminator"], network), gradients(expected, network)
    )


def test_the_reported_logits_are_those_of_each_side():
    real, fake = torch.full((4,), 2.0), torch.full((4,), -1.0)
    objective = Objective(IdentityDiscriminator(), "hinge", {})
    values = objective.discriminator_loss(real, fake, None, {}, keyed_rng(0))
    assert values["logits/real"].item() == 2 and values["logits/fake"].item() == -1


def test_a_discriminator_that_couples_the_batch_refuses_penalties():
    with pytest.raises(ValueError, match="penalties r1 need each sample's own gradient"):
        Objective(BatchNormed(), "relativistic", {"r1": 1.0})


def test_a_discriminator_that_couples_the_batch_sees_each_side_alone():
    network = BatchNormed()
    objective = Objective(network, "nonsaturating", {})
    near = objective.discriminator_loss(points("r"), points("f"), None, {}, keyed_rng(0))
    far = objective.discriminator_loss(points("r"), points("g") + 50, None, {}, keyed_rng(0))
    assert near["logits/real"].item() == far["logits/real"].item()
    fake = points("f").requires_grad_()
    objective.generator_loss(points("r"), fake, None, keyed_rng(0))["loss/generator"].backward()
    assert fake.grad.abs().sum() > 0


def test_no_gradient_reaches_the_reals_or_the_fakes_from_the_discriminator_phase():
    real, fake = points("r"), points("f")
    objective = Objective(ToyDiscriminator(), "relativistic", {"r1": 1.0})
    objective.discriminator_loss(real, fake, None, {"r1": 1.0}, keyed_rng(0))
    assert not real.requires_grad and not fake.requires_grad


def test_a_penalty_that_is_not_due_is_not_computed():
    objective = Objective(ToyDiscriminator(), "relativistic", {"r1": 1.0, "wgan_gp": 1.0})
    values = objective.discriminator_loss(points("r"), points("f"), None, {}, keyed_rng(0))
    assert not any(name.startswith("penalty") for name in values)


# the generator's phase


@pytest.mark.parametrize("loss", LOSSES)
def test_a_frozen_discriminator_gets_no_gradients(loss):
    network, fake = ToyDiscriminator(), points("f").requires_grad_()
    values = Objective(network, loss, {}).generator_loss(points("r"), fake, None, keyed_rng(0))
    values["loss/generator"].backward()
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert fake.grad.abs().sum() > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_freezing_does_not_change_the_generators_gradient(loss):
    network, fake, other = ToyDiscriminator(), points("f").requires_grad_(), points("r")
    values = Objective(network, loss, {}).generator_loss(other, fake, None, keyed_rng(0))
    (found,) = torch.autograd.grad(values["loss/generator"], fake)
    r, f = network(other).detach(), network(fake)
    if loss == "relativistic_average":
        r, f = r - f.mean(), f - r.mean()
    seen = r if LOSSES[loss].generator_sees_real else None
    (expected,) = torch.autograd.grad(LOSSES[loss].generator(seen, f).mean(), fake)
    torch.testing.assert_close(found, expected)


def test_the_users_own_freeze_mask_survives_the_generator_phase():
    network = ToyDiscriminator()
    network.body[0].requires_grad_(False)
    mask = [p.requires_grad for p in network.parameters()]
    objective = Objective(network, "relativistic", {})
    objective.generator_loss(points("r"), points("f"), None, keyed_rng(0))
    assert [p.requires_grad for p in network.parameters()] == mask and not all(mask)


def test_a_failing_forward_thaws_the_discriminator():
    network = ToyDiscriminator()
    with pytest.raises(RuntimeError), frozen_parameters(network.parameters()):
        network(torch.zeros(3, 5))
    assert all(p.requires_grad for p in network.parameters())


def test_reals_are_looked_at_only_by_the_losses_that_need_them():
    for name, loss in LOSSES.items():
        network = Counted()
        real = points("r") if loss.generator_sees_real else None
        Objective(network, name, {}).generator_loss(real, points("f"), None, keyed_rng(0))
        assert len(network.forwards) == (2 if loss.generator_sees_real else 1)


# weights of logits


def alive(logits: Tensor, weights: Tensor, loss: str, phase: str = "discriminator") -> Tensor:
    """The loss where the fakes are half the reals and both have these weights."""
    objective = Objective(IdentityDiscriminator(), loss, {})
    if phase == "discriminator":
        values = objective.discriminator_loss(logits, logits / 2, weights, {}, keyed_rng(0))
    else:
        values = objective.generator_loss(logits, logits / 2, weights, keyed_rng(0))
    return values[f"loss/{phase}"]


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
@pytest.mark.parametrize("loss", LOSSES)
def test_dead_logits_do_not_matter(loss, phase):
    logits = torch.randn(3, 4, generator=keyed_rng("logits"))
    noise = 100 * torch.randn(3, 4, generator=keyed_rng("noise"))
    plain = alive(logits, LIVE, loss, phase)
    assert torch.equal(plain, alive(logits + noise * (1 - LIVE), LIVE, loss, phase))
    assert not torch.equal(plain, alive(logits + noise * LIVE, LIVE, loss, phase))


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
@pytest.mark.parametrize("loss", LOSSES)
def test_logits_without_weights_count_as_those_of_weight_one(loss, phase):
    logits = torch.randn(3, 4, generator=keyed_rng("logits"))
    weighted = alive(logits, torch.ones(3, 4), loss, phase)
    objective = Objective(Unweighted(), loss, {})
    if phase == "discriminator":
        values = objective.discriminator_loss(logits, logits / 2, None, {}, keyed_rng(0))
    else:
        values = objective.generator_loss(logits, logits / 2, None, keyed_rng(0))
    assert torch.equal(values[f"loss/{phase}"], weighted)


class Unweighted(torch.nn.Module):
    uses_batch_statistics = False

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return x


@pytest.mark.parametrize("loss", LOSSES)
def test_a_sample_counts_the_same_however_many_of_its_logits_live(loss):
    logits = torch.tensor([[1.0, 1.0, 1.0, 1.0], [3.0, 3.0, 3.0, 3.0]])
    few = alive(logits, torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 1]]), loss)
    all_of_them = alive(logits, torch.ones(2, 4), loss)
    torch.testing.assert_close(few, all_of_them)


def test_a_pair_counts_with_the_product_of_its_weights():
    class Given(IdentityDiscriminator):
        def forward(self, x: Tensor, condition: Any = None) -> tuple[Tensor, Tensor]:
            return x[..., 0], x[..., 1]

    real = torch.tensor([[[3.0, 1.0], [5.0, 1.0], [7.0, 1.0]]])  # (logit, weight) at 3 places
    fake = torch.tensor([[[0.0, 1.0], [1.0, 0.5], [9.0, 0.0]]])
    objective = Objective(Given(), "wasserstein", {})
    values = objective.discriminator_loss(real, fake, None, {}, keyed_rng(0))
    assert values["loss/discriminator"].item() == pytest.approx((-3 * 1 - 4 * 0.5) / 1.5)
    assert values["logits/real"].item() == pytest.approx(5)
    assert values["logits/fake"].item() == pytest.approx(0.5 / 1.5)


def test_a_pair_without_a_common_live_logit_costs_nothing():
    logits = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    weights = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    half = alive(logits[1:], weights[1:], "hinge") / 2
    assert torch.equal(alive(logits, weights, "hinge"), half)


def test_dead_logits_do_not_reach_a_penalty():
    real, fake = (torch.randn(3, 4, generator=keyed_rng(key)) for key in "rf")

    class Cubes(IdentityDiscriminator):
        def forward(self, x: Tensor, condition: Any = None) -> tuple[Tensor, Tensor]:
            return x**3, condition

    objective = Objective(Cubes(), "wasserstein", {"r1": 1.0})
    values = objective.discriminator_loss(real, fake, LIVE, {"r1": 1.0}, keyed_rng(0))
    # the mean of x^3 over n live logits has the slope 3 x^2 / n at each of them
    slopes = LIVE * 3 * real**2 / LIVE.sum(1, keepdim=True)
    expected = slopes.square().sum(1).mean() / 2
    assert values["penalty/r1"].item() == pytest.approx(expected.item())


def test_logits_are_reduced_in_float32_or_wider():
    for given, wide in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        logits = torch.zeros(2, 3, 4, dtype=given)
        assert as_weighted_logits(logits).weights is None
        score = as_weighted_logits((logits, torch.ones_like(logits)))
        assert score.logits.dtype == score.weights.dtype == wide
        assert score.logits.shape == score.weights.shape == (2, 12)


# conditions and augmentation


def test_each_sample_is_scored_with_its_own_condition():
    network = ToyDiscriminator(labelled=True)
    labels = torch.arange(6) % CLASSES
    objective = Objective(network, "nonsaturating", {"r1": 1.0})
    for gammas in ({}, {"r1": 0.0}):
        values = objective.discriminator_loss(
            points("r"), points("f"), labels, gammas, keyed_rng(0)
        )
        assert values["logits/real"].item() == pytest.approx(
            network(points("r"), labels).mean().item(), abs=1e-6
        )
        assert values["logits/fake"].item() == pytest.approx(
            network(points("f"), labels).mean().item(), abs=1e-6
        )


def test_reals_and_fakes_are_augmented_with_draws_of_their_own_in_both_phases():
    seen: list[Tensor] = []

    def shift(x: Tensor, condition: Any, rng: torch.Generator) -> tuple[Tensor, Any]:
        seen.append(torch.rand(len(x), 1, generator=rng))
        return x + seen[-1], condition

    network = Counted()
    objective = Objective(network, "relativistic", {"r1": 1.0}, shift)
    for gammas in ({}, {"r1": 1.0}):
        objective.discriminator_loss(points("r"), points("r"), None, gammas, keyed_rng(0))
    objective.generator_loss(points("r"), points("r"), None, keyed_rng(0))
    assert [len(draws) for draws in seen] == [12, 12, 6, 6]
    assert len(seen[0].unique()) == 12 and not torch.equal(seen[2], seen[3])
