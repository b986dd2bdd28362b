"""The automatic gamma: a controller that holds the discriminator's loss in a band."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from multigan.core.recipe import AutoGamma, Schedule, read_gamma, recipe_from_json, recipe_to_json
from multigan.engine.gamma_controller import (
    DRIFT,
    HALF_BAND,
    LIMITS,
    MAX_DRIFT,
    RISE,
    SOFTNESS,
    WON,
    GammaController,
)
from multigan.engine.losses import LOSSES, get_loss, loss_at_chance
from multigan.engine.trainer import AdversarialTrainer
from tests.run_helpers import tiny_recipe
from tests.toy_domain import toy_recipe

CPU, RUN = torch.device("cpu"), 3000


def controller(loss: str = "relativistic", **settings: float) -> GammaController:
    recipe = toy_recipe(loss=loss, penalties={"r1": AutoGamma(**settings)})
    return GammaController(recipe, RUN, CPU)


def logits_of(share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean logits of reals and fakes at which the relativistic loss has this part of chance."""
    gap = -math.log(math.expm1(share * math.log(2))) if share else 100.0
    return torch.tensor(gap - 3.0), torch.tensor(-3.0)


def speed(share: float, progress: float = 0.0) -> float:
    """The change of the logarithm in a step after long under a loss at `share` of chance."""
    found = controller(start=0.02)
    for _ in range(200):
        before = found.gamma.item()
        found.update(*logits_of(share), progress)
    return math.log(found.gamma.item() / before)


def test_gamma_drifts_toward_the_band_and_rises_fast_where_the_discriminator_wins():
    target = AutoGamma().target
    for sign in (-1, 1):  # gamma falls while the loss is too high
        drift = speed(target + sign * (HALF_BAND + SOFTNESS))
        assert drift == pytest.approx(-sign * DRIFT / RUN * math.tanh(1), rel=1e-2)
        assert speed(target + sign * 0.9 * HALF_BAND) == 0
    assert speed(1.5) == pytest.approx(-DRIFT / RUN, rel=1e-2)
    assert speed(0.0) == pytest.approx(RISE + DRIFT / RUN, rel=1e-2)
    assert 0 < speed(WON) <= DRIFT / RUN


def test_the_drift_slows_down_and_the_rise_does_not():
    """Late in a run a loss near chance is more often that of a good generator."""
    assert speed(1.0, 0.5) == pytest.approx(speed(1.0) / 8, rel=1e-2)
    assert speed(1.0, 1.0) == 0
    assert speed(0.0, 1.0) == pytest.approx(RISE, rel=1e-2)


def test_at_most_gamma_drifts_by_a_factor_of_about_seven_over_the_run():
    found = controller(start=1.0)
    for step in range(RUN):
        found.update(*logits_of(2.0), step / RUN)
    assert found.gamma.item() == pytest.approx(math.exp(-DRIFT / 4), rel=0.02)


@pytest.mark.parametrize("right", [0.02, 0.1, 0.5])
def test_it_comes_to_rest_at_a_gamma_that_suits_the_data(right):
    """A discriminator whose loss is at the target at one gamma, and answers over 50 steps."""
    found, share = controller(), 1.0
    for step in range(RUN):
        gamma = 0.7 / 0.3 * found.gamma.item()
        share += (gamma / (gamma + right) - share) / 50
        found.update(*logits_of(share), step / RUN)
    assert abs(share - AutoGamma().target) < HALF_BAND + 0.01


@pytest.mark.parametrize("target", [0.1, 0.4, 0.9])
def test_gamma_rests_at_any_target_falls_at_chance_and_rises_where_d_wins(target):
    found = controller(target=target)
    for _ in range(400):
        found.update(*logits_of(target), 0.0)
    before = found.gamma.item()
    found.update(*logits_of(target), 0.0)
    assert found.gamma.item() == before
    for _ in range(400):
        found.update(*logits_of(1.0), 0.0)
    fallen = found.gamma.item()
    assert fallen < before
    for _ in range(400):
        found.update(*logits_of(0.0), 0.0)
    assert found.gamma.item() > fallen


def test_gamma_rests_while_the_learning_rate_of_the_discriminator_warms_up():
    """It is ahead of any generator then."""
    recipe = toy_recipe(
        loss="relativistic",
        penalties={"r1": AutoGamma()},
        discriminator_lr=Schedule(1e-3, 0.0, warmup=0.1),
    )
    found = GammaController(recipe, RUN, CPU)
    for step in range(RUN // 10):
        found.update(*logits_of(0.0), step / RUN)
    assert found.gamma.item() == pytest.approx(AutoGamma().start, rel=1e-12)
    found.update(*logits_of(0.0), 0.1)
    assert found.gamma.item() > AutoGamma().start * 1.001


def test_in_a_short_run_it_drifts_no_faster_than_a_fixed_speed():
    recipe = toy_recipe(loss="relativistic", penalties={"r1": AutoGamma(start=1.0)})
    found = GammaController(recipe, 10, CPU)
    for _ in range(100):
        before = found.gamma.item()
        found.update(*logits_of(2.0), 0.0)
    assert found.gamma.item() / before == pytest.approx(math.exp(-MAX_DRIFT), rel=1e-3)


def test_gamma_stays_within_its_limits():
    for share, limit, start in ((0.0, LIMITS[1], LIMITS[1] / 2), (1.5, LIMITS[0], LIMITS[0] * 2)):
        found = controller(start=start)
        for _ in range(3000):
            found.update(*logits_of(share), 0.0)
        assert found.gamma.item() == pytest.approx(limit)


@pytest.mark.parametrize(("loss", "chance"), [("hinge", 2.0), ("least_squares", 0.25)])
def test_the_set_point_is_a_part_of_the_loss_of_guessing(loss, chance):
    found = controller(loss)
    assert found.chance == pytest.approx(chance)


@pytest.mark.parametrize("loss", [name for name in LOSSES if loss_at_chance(name) > 0])
def test_equal_logits_are_chance_and_gamma_falls(loss):
    found = controller(loss)
    boundary = torch.tensor(LOSSES[loss].decision_boundary or 0.0)
    for _ in range(200):
        found.update(boundary, boundary, 0.0)
    assert found._loss.item() == pytest.approx(1.0, abs=1e-4)
    assert found.gamma < AutoGamma().start


@pytest.mark.parametrize("loss", [name for name in LOSSES if loss_at_chance(name) > 0])
def test_gamma_rises_where_the_mean_logits_are_far_apart(loss):
    found = controller(loss)
    boundary = torch.tensor(LOSSES[loss].decision_boundary or 0.0)
    far = 0.5 if loss == "least_squares" else 1.5  # of real and fake, without a loss
    for _ in range(200):
        found.update(boundary + far, boundary - far, 0.5)
    assert found.gamma > AutoGamma().start


def test_a_discriminator_that_is_often_wrong_by_much_is_not_taken_for_one_at_chance():
    """Its loss is above chance, the mean logits are apart: gamma is too small, not too large."""
    logits = torch.tensor([[-9.0, 12.0, 9.0, -6.0], [3.0, -6.0, -12.0, 9.0]])  # reals, fakes
    loss = get_loss("relativistic").discriminator(*logits[..., None]).mean()
    assert loss > 3 * loss_at_chance("relativistic")
    found = controller()
    for _ in range(200):
        found.update(*logits.mean(1), 0.0)
    assert found.gamma > AutoGamma().start


def test_a_loss_without_a_level_at_chance_is_refused():
    recipe = toy_recipe(loss="wasserstein", penalties={"r1": AutoGamma()})
    with pytest.raises(ValueError, match=r"gamma auto must have a loss with a level at chance.*'w"):
        AdversarialTrainer(recipe)


def test_one_recipe_has_one_automatic_gamma():
    recipe = toy_recipe(penalties={"r1": AutoGamma(), "r2": AutoGamma(target=0.4)})
    with pytest.raises(ValueError, match="must be one setting"):
        AdversarialTrainer(recipe)


def logged(**changes: object) -> list[tuple[float, float]]:
    recipe = toy_recipe(penalties={"r1": AutoGamma(), "r2": AutoGamma()}, **changes)
    steps = list(AdversarialTrainer(recipe).steps())
    return [(float(s.values["gamma/r1"]), float(s.values["gamma/r2"])) for s in steps]


def test_gamma_moves_in_every_step_and_is_logged_as_it_was_used():
    both = logged()
    assert both[0] == pytest.approx((AutoGamma().start, AutoGamma().start))
    assert all(r1 == r2 for r1, r2 in both)
    assert len({r1 for r1, _ in both}) == len(both)


def test_lazy_penalties_and_micro_batches_leave_gamma_alone():
    """The penalties' interval multiplies the weight, not gamma; the loss is a mean over parts."""
    whole = logged(steps=2, discriminator_lr=0.0, generator_lr=0.0)
    for changes in ({"penalty_interval": 2}, {"gradient_accumulation_steps": 4}):
        parts = logged(steps=2, discriminator_lr=0.0, generator_lr=0.0, **changes)
        assert parts[0] == pytest.approx(whole[0], rel=1e-6)
        assert parts[1] == pytest.approx(whole[1], rel=1e-4)


def test_burn_in_leaves_an_automatic_gamma_to_the_controller():
    assert logged(burn_in=0.5)[0] == pytest.approx(logged()[0])


def test_a_recipe_with_an_automatic_gamma_survives_json():
    penalties = {"r1": AutoGamma(target=0.4), "r2": Schedule(1.0, 0.1)}
    recipe = replace(tiny_recipe("points"), penalties=penalties)
    again = recipe_from_json(json.loads(json.dumps(recipe_to_json(recipe))))
    assert again.penalties == recipe.penalties


@pytest.mark.parametrize(("text", "gamma"), [("auto", AutoGamma()), ("0", 0.0), ("0.3", 0.3)])
def test_a_gamma_is_a_number_or_auto(text, gamma):
    assert read_gamma(text) == gamma


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "automatic", ""])
def test_another_gamma_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="gamma must be a number, 0 or more, or auto; got"):
        read_gamma(text)


@pytest.mark.parametrize("settings", [{"target": 0.05}, {"target": 0.95}, {"start": 0.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        AutoGamma(**settings)
