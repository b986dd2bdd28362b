"""Adaptive augmentation: the probability follows the real logits, for losses with a boundary."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.engine.losses import LOSSES
from multigan.engine.objective import Objective
from multigan.engine.trainer import AdversarialTrainer
from multigan.image.augmentation import geometric
from multigan.image.augmentation.geometric import GEOMETRIC_OPS, ORDER, geometric_augment
from multigan.image.augmentation.pipelines import AdaptiveAugment, ScheduledAugment
from tests.run_helpers import tiny_recipe
from tests.toy_domain import IdentityDiscriminator

SIDES = {"nonsaturating": 0.0, "minimax": 0.0, "hinge": 0.0, "least_squares": 0.5}


def moved(signs, samples=1000, **arguments):
    """The chance after each step of `samples` reals with this mean sign."""
    augment = AdaptiveAugment(**arguments)
    return [
        augment.update_probability(torch.tensor(s), samples)["augment/p"] for s in signs
    ], augment


def test_the_chance_moves_at_every_fourth_step_by_the_share_of_500_000_images():
    found, augment = moved([0.9] * 9)
    assert found == pytest.approx([0, 0, 0, 0.008, 0.008, 0.008, 0.008, 0.016, 0.016])
    assert augment.scheduled.p == found[-1]  # which is what images are changed by


def test_p_rises_while_the_discriminator_overfits_and_falls_otherwise():
    assert moved([0.9, 0.9, 0.9, 0.1] * 2)[0][-1] == pytest.approx(0.016)  # their mean is .7
    falls = moved([0.9] * 8 + [0.5] * 4)[0]
    assert falls[7] == pytest.approx(0.016) and falls[11] == pytest.approx(0.008)


def test_it_stays_between_zero_and_the_most():
    assert moved([0.0] * 8)[0] == [0] * 8
    assert max(moved([1.0] * 80, samples=50_000, max_p=0.3)[0]) == 0.3


def test_a_restored_one_goes_on_in_the_middle_of_an_interval():
    signs = [0.9, 0.2, 0.8, 1.0, 1.0, 0.0]
    whole = moved([*signs, *signs])[1]
    first = moved(signs)[1]
    again = from_config(json.loads(json.dumps(to_config(first))))
    again.restore(json.loads(json.dumps(first.state())))
    for sign in signs:
        again.update_probability(torch.tensor(sign), 1000)
    assert again.state() == pytest.approx(whole.state())


@pytest.mark.parametrize("loss", LOSSES)
def test_only_a_loss_with_a_fixed_boundary_supports_ada(loss):
    logits = torch.tensor([1.0, 0.4, -2.0, 3.0])
    assert LOSSES[loss].decision_boundary == SIDES.get(loss)
    if loss not in SIDES:
        with pytest.raises(ValueError, match=f"fixed decision boundary .*got '{loss}'") as caught:
            Objective(IdentityDiscriminator(), loss, {}, AdaptiveAugment())
        assert "\n" not in str(caught.value)
        Objective(IdentityDiscriminator(), loss, {}, ScheduledAugment())
        return
    game = Objective(IdentityDiscriminator(), loss, {}, Unchanged())
    terms = game.discriminator_loss(logits, -logits, None, {}, keyed_rng(0))
    known = 0.0 if loss == "least_squares" else 0.5  # .4 is on the real side of 0, not of .5
    assert terms["signs/real"].item() == pytest.approx(known)


class Unchanged:
    """An adaptive augmentation that changes nothing."""

    def __call__(self, x, condition, rng):
        return x, condition

    def update_probability(self, sign, samples):
        return {}

    def state(self):
        return {}

    def restore(self, state):
        pass


def test_a_shift_of_all_logits_changes_no_loss_that_is_refused():
    real, fake = torch.tensor([1.0, 2.0]), torch.tensor([0.0, -1.0])
    for name, loss in LOSSES.items():
        sides = [(real, fake), (real + 5, fake + 5)]
        if loss.subtracts_opposite_mean:
            sides = [(r - f.mean(), f - r.mean()) for r, f in sides]
        values = [loss.discriminator(r, f) for r, f in sides]
        assert torch.allclose(*values) == (name not in SIDES), name


def test_a_run_is_restored_with_its_chance_and_goes_on_bit_by_bit():
    """Ten steps are six, in the middle of an interval, a restart from JSON, and four."""

    def trainer():
        recipe = tiny_recipe("image", augment="ada", loss="nonsaturating", steps=10)
        quick = AdaptiveAugment(ramp_samples=100, target=-1)  # goes up whatever D says
        return AdversarialTrainer(replace(recipe, augment=quick))

    whole, first, again = trainer(), trainer(), trainer()
    chances = [step.values["augment/p"] for step in whole.steps()]
    assert chances[3] == pytest.approx(0.64) and chances[7] == 1
    steps = first.steps()
    for _ in range(6):
        next(steps)
    for role, network in again.networks().items():
        network.load_state_dict(first.networks()[role].state_dict())
    again.restore(first.state())
    list(again.steps())
    assert again.state()["augment"] == whole.state()["augment"]
    for role, network in whole.networks().items():
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, again.networks()[role].state_dict()[key]), (role, key)


def test_the_trainer_shows_it_the_reals_of_each_step():
    trainer = AdversarialTrainer(tiny_recipe("image", augment="ada", loss="hinge", steps=4))
    values = [step.values for step in trainer.steps()]
    assert all(-1 <= float(v["signs/real"]) <= 1 for v in values)
    state = trainer.state()["augment"]
    above = sum(float(v["signs/real"]) for v in values) / 4 > 0.6
    assert values[-1]["augment/p"] == state["p"] == (4 * 16 / 500_000 if above else 0)


def test_one_of_the_two_rotations_falls_with_the_chance_that_is_named(monkeypatch):
    """ADA's order, where a stretch stands between two rotations with 1 - sqrt(1 - p) each."""
    assert set(ORDER) == set(GEOMETRIC_OPS)
    assert Counter(ORDER)["rotate"] == 2 and len(ORDER) == len(GEOMETRIC_OPS) + 1
    turned = []
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    monkeypatch.setitem(
        geometric.GEOMETRIC_OPS, "rotate", lambda n, size, rng: quarter.expand(n, 3, 3)
    )
    x = torch.randn(1, 1, 4, 4, generator=keyed_rng("x"))
    y = geometric_augment(x.expand(4000, -1, -1, -1), {"rotate": 0.36}, keyed_rng("turns"))
    turned = [(y == x.rot90(k, (2, 3))).flatten(1).all(1).float().mean().item() for k in range(4)]
    assert turned == pytest.approx([0.64, turned[1], 0.04, turned[3]], abs=0.025)
    assert turned[1] + turned[3] == pytest.approx(0.32, abs=0.025)


def test_what_it_cannot_be_is_refused():
    for arguments in (
        {"interval_steps": 0},
        {"ramp_samples": 0},
        {"max_p": 2},
        {"strengths": {"blur": 1}},
    ):
        with pytest.raises(ValueError, match=r"must be"):
            AdaptiveAugment(**arguments)
