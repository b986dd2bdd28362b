"""An update that is not finite is never made: it stops the trainer, or is left out and counted."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from multigan.engine.optimization import (
    MAX_CONSECUTIVE_SKIPS,
    POLICIES,
    NonFiniteError,
    NonFinitePolicy,
)
from multigan.engine.trainer import AdversarialTrainer
from tests.progress_capture import moved, weights_of
from tests.toy_domain import ToyDiscriminator, toy_recipe


class Spoilt(ToyDiscriminator):
    """Its logits are `value` in the calls that are listed, 0 the first; there are two a step."""

    def __init__(self, calls: set[int], value: float = float("nan")) -> None:
        super().__init__()
        self.calls, self.value, self.number = calls, value, itertools.count()

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        logits = super().forward(x, condition)
        return logits * self.value if next(self.number) in self.calls else logits


def trainer_of(calls: set[int], policy: str, **changes: Any) -> AdversarialTrainer:
    recipe = toy_recipe(discriminator=Spoilt(calls), steps=20, **changes)
    return AdversarialTrainer(recipe, on_nonfinite=policy)


@pytest.mark.parametrize("policy", ["raise", "rollback"])
@pytest.mark.parametrize(("call", "culprit"), [(4, "discriminator"), (5, "generator")])
def test_a_loss_that_is_not_finite_stops_the_trainer_before_any_weight_is_touched(
    call, culprit, policy
):
    trainer = trainer_of({call}, policy)
    steps = trainer.steps()
    list(itertools.islice(steps, 2))
    before = weights_of(trainer.discriminator), weights_of(trainer.ema.module)
    with pytest.raises(NonFiniteError, match=f"loss/{culprit}"):
        next(steps)
    assert all(torch.isfinite(p).all() for p in trainer.generator.parameters())
    assert (call == 5) == bool(moved(before[0], trainer.discriminator))
    assert moved(before[1], trainer.ema.module) == set()


def test_a_skipped_update_leaves_weights_moments_and_average_as_they_were():
    trainer = trainer_of({4, 5}, "skip")  # both updates of the third step
    steps = trainer.steps()
    list(itertools.islice(steps, 2))
    state = trainer.state()["optimizers"]
    before = {name: weights_of(net) for name, net in trainer.networks().items()}
    moments = {n: s["state"][0]["exp_avg"].clone() for n, s in state.items()}
    step = next(steps)
    for name, network in trainer.networks().items():
        assert {n for n in moved(before[name], network) if "running" not in n} <= {
            "body.1.num_batches_tracked"  # a buffer of the forward pass
        }
    after = trainer.state()["optimizers"]
    for name, kept in moments.items():
        assert torch.equal(kept, after[name]["state"][0]["exp_avg"])
    assert step.values["skipped_updates"] == 2 and "loss/generator" not in step.values
    assert next(steps).values["skipped_updates"] == 2
    assert moved(before["generator"], trainer.generator)


def test_too_many_skips_in_a_row_stop_the_trainer():
    every_one = set(range(0, 100, 2))  # D's
    trainer, number = trainer_of(every_one, "skip"), 0
    with pytest.raises(
        NonFiniteError, match=f"after {MAX_CONSECUTIVE_SKIPS} skipped updates in a row loss/d"
    ):
        for step in trainer.steps():
            number = step.number
    assert (
        number == MAX_CONSECUTIVE_SKIPS
        and trainer.nonfinite_policy.skipped == MAX_CONSECUTIVE_SKIPS + 1
    )


def test_a_gradient_that_is_not_finite_is_told_from_a_loss():
    policy, one, bad = NonFinitePolicy("raise"), torch.tensor(1.0), torch.tensor(float("inf"))
    assert policy.check("generator", one, one)
    with pytest.raises(NonFiniteError, match=r"^the gradient of the generator$"):
        policy.check("generator", one, bad)
    with pytest.raises(NonFiniteError, match=r"^loss/generator$"):
        policy.check("generator", bad, bad)


def test_what_was_skipped_survives_a_checkpoint():
    first, second, bad = (
        NonFinitePolicy("skip"),
        NonFinitePolicy("skip"),
        torch.tensor(float("nan")),
    )
    for _ in range(MAX_CONSECUTIVE_SKIPS):
        assert not first.check("generator", bad, bad)
    second.restore(first.state())
    assert second.skipped == MAX_CONSECUTIVE_SKIPS
    with pytest.raises(NonFiniteError):
        second.check("generator", bad, bad)


def test_an_unknown_policy_is_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"on_nonfinite must be one of raise, skip, rollback; got 'ignore'"
    ):
        AdversarialTrainer(toy_recipe(), on_nonfinite="ignore")
    assert POLICIES == ("raise", "skip", "rollback")
