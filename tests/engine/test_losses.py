"""The games: closed-form values, gradients, shift invariance, extremes."""

from __future__ import annotations

from math import exp, log1p

import pytest
import torch
from torch import Tensor

from multigan.core.rng import keyed_rng
from multigan.engine.losses import LOSSES, get_loss, loss_at_chance
from multigan.engine.objective import Objective
from tests.toy_domain import IdentityDiscriminator

# name: D and G at real = fake = 0, then D and G at real = 2, fake = -1
CLOSED_FORMS = {
    "nonsaturating": (1.386294, 0.693147, 0.440190, 1.313262),
    "minimax": (1.386294, -0.693147, 0.440190, -0.313262),
    "hinge": (2.0, 0.0, 0.0, 1.0),
    "least_squares": (0.5, 0.5, 1.0, 2.0),
    "wasserstein": (0.0, 0.0, -3.0, 1.0),
    "relativistic": (0.693147, 0.693147, 0.048587, 3.048587),
    "relativistic_average": (1.386294, 1.386294, 0.097175, 6.097175),
}
SHIFT_INVARIANT = ("wasserstein", "relativistic", "relativistic_average")
SHIFTED = ("nonsaturating", "minimax", "hinge", "least_squares")


def sp(x: float) -> float:
    return log1p(exp(x))


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def losses(name: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """What D and G minimise at the logits (B,) or (B, L), through the Objective."""
    objective = Objective(IdentityDiscriminator(), name, {})
    d = objective.discriminator_loss(real, fake, None, {}, keyed_rng(0))
    g = objective.generator_loss(real, fake, None, keyed_rng(0))
    return d["loss/discriminator"], g["loss/generator"]


def gradients(name: str, real: list[float], fake: list[float]) -> dict[str, list[float]]:
    """Of D's loss with respect to r and f, of G's with respect to f."""
    r = torch.tensor(real, dtype=torch.float64, requires_grad=True)
    f = torch.tensor(fake, dtype=torch.float64, requires_grad=True)
    d, g = losses(name, r, f)
    d_real, d_fake = torch.autograd.grad(d, (r, f))
    (g_fake,) = torch.autograd.grad(g, f)
    return {"d_real": d_real.tolist(), "d_fake": d_fake.tolist(), "g_fake": g_fake.tolist()}


def test_every_loss_has_its_closed_form_here():
    assert set(CLOSED_FORMS) == set(LOSSES) == {*SHIFT_INVARIANT, *SHIFTED}


@pytest.mark.parametrize("copies", [1, 5])
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms_hold_whatever_the_batch_size(name, copies):
    zero, two, minus_one = torch.zeros(copies), torch.full((copies,), 2.0), -torch.ones(copies)
    found = [value.item() for value in (*losses(name, zero, zero), *losses(name, two, minus_one))]
    assert found == pytest.approx(CLOSED_FORMS[name], abs=2e-6)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_several_logits_a_sample_are_averaged(name):
    real, fake = torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 0.0]])  # (1, 2)
    if name == "relativistic_average":  # the mean over the logits of the other side: 1 and -0.5
        expected = (sp(-2.5) + sp(-2.0) + sp(-0.5) + sp(-1.0)) / 2
    else:
        at_zero, at_pair = CLOSED_FORMS[name][0], CLOSED_FORMS[name][2]
        expected = (at_zero + at_pair) / 2
    assert losses(name, real, fake)[0].item() == pytest.approx(expected, abs=2e-6)


def test_relativistic_average_subtracts_the_mean_of_the_other_side():
    d, g = losses("relativistic_average", torch.tensor([3.0, 1.0]), torch.tensor([-2.0, 0.0]))
    # mean r = 2, mean f = -1: r - mean f = 4, 2 and f - mean r = -4, -2
    assert d.item() == pytest.approx(sp(-4) + sp(-2), abs=1e-6)
    assert g.item() == pytest.approx(sp(4) + sp(2), abs=1e-6)


def test_relativistic_pairs_by_index():
    d, g = losses("relativistic", torch.tensor([3.0, 1.0]), torch.tensor([-2.0, 0.0]))
    assert d.item() == pytest.approx((sp(-5) + sp(-1)) / 2, abs=1e-6)
    assert g.item() == pytest.approx((sp(5) + sp(1)) / 2, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_discriminator_pushes_real_logits_up_and_fake_logits_down(name):
    found = gradients(name, [0.3, 0.1], [0.2, 0.4])
    assert all(slope < -1e-3 for slope in found["d_real"])
    assert all(slope > 1e-3 for slope in found["d_fake"])


@pytest.mark.parametrize("name", LOSSES)
def test_generator_pushes_fake_logits_up(name):
    assert all(slope < -1e-3 for slope in gradients(name, [0.3, 0.1], [0.2, 0.4])["g_fake"])


@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_reaches_the_reals_in_the_generator_phase(name):
    real = torch.tensor([0.3], requires_grad=True)
    g = losses(name, real, torch.tensor([0.2], requires_grad=True))[1]
    assert torch.autograd.grad(g, real, allow_unused=True) == (None,)


def test_hinge_pushes_real_logits_up_only_below_the_margin():
    found = gradients("hinge", [0.5, 2.0], [-0.5, -2.0])
    assert found["d_real"] == [-0.5, 0.0] and found["d_fake"] == [0.5, 0.0]
    assert found["g_fake"] == [-0.5, -0.5]


def test_nonsaturating_gradients_have_their_closed_form():
    found = gradients("nonsaturating", [0.7, -2.0], [-1.1, 0.4])
    assert found["d_real"] == pytest.approx([-sigmoid(-0.7) / 2, -sigmoid(2.0) / 2])
    assert found["d_fake"] == pytest.approx([sigmoid(-1.1) / 2, sigmoid(0.4) / 2])
    assert found["g_fake"] == pytest.approx([-sigmoid(1.1) / 2, -sigmoid(-0.4) / 2])


def test_relativistic_gradients_have_their_closed_form():
    found = gradients("relativistic", [0.7, -2.0], [-1.1, 0.4])  # gaps 1.8 and -2.4
    expected = [sigmoid(-1.8) / 2, sigmoid(2.4) / 2]
    assert found["d_real"] == pytest.approx([-slope for slope in expected])
    assert found["d_fake"] == pytest.approx(expected)
    assert found["g_fake"] == pytest.approx([-sigmoid(1.8) / 2, -sigmoid(-2.4) / 2])


def test_relativistic_average_gradients_pass_through_the_means():
    found = gradients("relativistic_average", [0.7, -2.0], [-1.1, 0.4])
    mean_real, mean_fake = -0.65, -0.35
    through_mean = (sigmoid(-1.1 - mean_real) + sigmoid(0.4 - mean_real)) / 2
    own = [sigmoid(-(0.7 - mean_fake)), sigmoid(-(-2.0 - mean_fake))]
    assert found["d_real"] == pytest.approx([-(slope + through_mean) / 2 for slope in own])


def test_minimax_saturates_where_nonsaturating_does_not():
    assert abs(gradients("minimax", [0.0], [-10.0])["g_fake"][0]) < 1e-4
    assert gradients("nonsaturating", [0.0], [-10.0])["g_fake"][0] == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("name", SHIFT_INVARIANT)
def test_only_differences_of_logits_count(name):
    real, fake = torch.tensor([0.3, -1.0]).double(), torch.tensor([0.2, 0.9]).double()
    d, g = losses(name, real, fake)
    shifted_d, shifted_g = losses(name, real + 2, fake + 2)
    assert shifted_d.item() == pytest.approx(d.item(), abs=1e-12)
    # Wasserstein's generator sees only its own side: its value shifts, its gradient does not
    shift = -2 if name == "wasserstein" else 0
    assert (shifted_g - g).item() == pytest.approx(shift, abs=1e-12)
    before = gradients(name, [0.3, -1.0], [0.2, 0.9])
    after = gradients(name, [2.3, 1.0], [2.2, 2.9])
    assert all(after[key] == pytest.approx(before[key], abs=1e-12) for key in before)


@pytest.mark.parametrize("name", SHIFTED)
def test_absolute_logits_count_where_they_must(name):
    real, fake = torch.tensor([0.3]), torch.tensor([0.2])
    assert abs(float(losses(name, real + 2, fake + 2)[0] - losses(name, real, fake)[0])) > 0.1


@pytest.mark.parametrize("real", [-1e4, 1e4])
@pytest.mark.parametrize("fake", [-1e4, 1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name, real, fake):
    r = torch.tensor([real, real], requires_grad=True)
    f = torch.tensor([fake, fake], requires_grad=True)
    d, g = losses(name, r, f)
    slopes = (*torch.autograd.grad(d, (r, f)), *torch.autograd.grad(g, f))
    assert all(torch.isfinite(value).all() for value in (d, g, *slopes))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_returns_one_value_per_logit(name):
    real, fake = torch.zeros(3, 5), torch.ones(3, 5)
    loss = LOSSES[name]
    seen = real if loss.generator_sees_real else None
    assert loss.discriminator(real, fake).shape == loss.generator(seen, fake).shape == (3, 5)


def test_an_unknown_loss_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="loss must be one of nonsaturating, minimax"):
        get_loss("nonsense")


@pytest.mark.parametrize(
    ("loss", "cost"),
    [
        ("relativistic", 0.693147),
        ("hinge", 2.0),
        ("least_squares", 0.25),
        ("wasserstein", 0.0),
    ],
)
def test_guessing_costs_what_the_loss_says(loss, cost):
    assert loss_at_chance(loss) == pytest.approx(cost, abs=1e-6)
