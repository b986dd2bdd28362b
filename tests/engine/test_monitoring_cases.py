"""Runs that are forced to be sick are named within 210 steps of the game; a healthy one is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from multigan.engine.losses import loss_at_chance
from multigan.engine.monitoring import (
    CHECKS,
    LogSummary,
    TrainingMonitor,
    diversity_metrics,
)
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import ToyData, ToyDiscriminator, toy_recipe

WITHIN = 210  # steps
EVERY = 10  # steps between two log lines


def signs_of(**changes: Any) -> dict[str, str]:
    """Every sign that a run of the toys shows, with its first sentence."""
    trainer = AdversarialTrainer(toy_recipe(steps=WITHIN, **changes))
    patient, said, last = TrainingMonitor(trainer.recipe), {}, {}
    for step in trainer.steps():
        last |= {name: float(value) for name, value in step.values.items()}
        if step.number % EVERY == 0:
            look = {name: float(value) for name, value in trainer.diversity_metrics().items()}
            said = patient.read(step.number, last | look) | said
    return said


def alike() -> ToyData:
    data = ToyData()
    data.points = torch.ones_like(data.points)
    return data


HEALTHY: dict[str, Any] = {
    "loss": "relativistic",
    "penalties": {"r1": 0.1, "r2": 0.1},
    "data": ToyData(200),
}


def test_a_healthy_run_is_left_alone():
    assert signs_of(**HEALTHY) == {}


def test_a_learning_rate_a_hundred_times_too_large_is_named():
    said = signs_of(generator_lr=1.0, discriminator_lr=1.0, penalties={"r1": 0.1, "r2": 0.1})
    assert said
    assert any("smaller learning rate" in sentence for sentence in said.values()), said


def test_a_discriminator_that_does_not_learn_is_named():
    said = signs_of(**HEALTHY | {"discriminator_lr": 0.0})
    assert said["generator dominates"].startswith("the generator dominates: fakes score ")


def test_data_that_are_all_alike_are_named():
    said = signs_of(**HEALTHY | {"data": alike()})
    assert list(said) == ["degenerate data"]
    assert said["degenerate data"].startswith(
        "the real samples of a batch are all equal (they differ"
    )


def figures(
    loss: float = 0.6, gap: float = 0.2, penalty: float = 0.1, **values: float
) -> LogSummary:
    healthy = {
        "diversity/real": 0.5,
        "diversity/fake": 0.9,
        "near_duplicates/real": 0.1,
        "near_duplicates/fake": 0.1,
    }
    healthy |= {
        "loss/discriminator": loss + penalty,
        "loss/discriminator_adversarial": loss,
        "logits/gap": gap,
    }
    sizes = {"discriminator": 100, "generator": 100}
    return LogSummary(healthy | values, 0.6931, sizes)


@pytest.mark.parametrize(
    ("sick", "sign", "number"),
    [
        (figures(**{"diversity/real": 0.0}), "degenerate data", "differ by 0 of"),
        (figures(**{"diversity/fake": 0.02}), "mode collapse", "differ 2 % as much"),
        (
            figures(**{"near_duplicates/fake": 0.75}),
            "mode collapse",
            "75 % have a near-duplicate in their batch (real: 10",
        ),
        (figures(loss=40.0), "divergence", "loss is 40; at chance it is 0.693"),
        (
            figures(loss=0.002, gap=6.0),
            "discriminator dominates",
            "score 6 above fakes and its loss",
        ),
        (figures(loss=0.8, gap=-0.1), "generator dominates", "fakes score 0.1 above real samples"),
        (figures(penalty=9.0), "penalty dominates", "they are 9 of the discriminator's loss"),
        (figures(**{"grad_norm/generator": 1e-10}), "vanishing gradient", "generator has vanished"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_sign_says_its_number_and_what_to_try(sick, sign, number):
    said = {name: text for name, find in CHECKS.items() if (text := find(sick)) is not None}
    assert list(said) == [sign] and number in said[sign]
    assert any(advice in said[sign] for advice in ("; try ", ": try ", "check the data"))
    assert "\n" not in said[sign]


def test_no_sign_stands_in_healthy_figures():
    for healthy in (figures(), figures(loss=0.1, gap=3.6), figures(loss=0.7, gap=-0.01)):
        assert [name for name, find in CHECKS.items() if find(healthy)] == []


def readings(*sick: tuple[int, bool]) -> list[bool]:
    """Whether anything was said at each of (step, is sick)."""
    patient = TrainingMonitor(toy_recipe(steps=1000))
    well = figures().values
    return [bool(patient.read(n, well | {"diversity/fake": 0.9 - 0.9 * ill})) for n, ill in sick]


def test_a_sign_is_said_only_once_it_has_lasted():
    assert readings(*[(n, True) for n in (10, 50, 90)]) == [False] * 3  # the first steps
    assert readings(*[(n, True) for n in (100, 200, 300)]) == [False, False, True]
    assert readings(*[(n, True) for n in (100, 110, 120, 200)]) == [False, False, False, True]
    assert readings((100, True), (200, True), (250, False), (300, True)) == [False] * 4


@pytest.mark.parametrize(("steps", "first"), [(4, 50), (160, 80), (1000, 200), (10**400, 200)])
def test_a_short_game_is_judged_after_half_of_it(steps, first):
    patient, sick = (
        TrainingMonitor(toy_recipe(steps=steps)),
        figures(**{"diversity/fake": 0.0}).values,
    )
    assert next(n for n in range(1, 999) if patient.read(n, sick)) == first


def test_a_short_planned_length_is_what_counts_and_not_the_steps_of_a_longer_resumption():
    patient = TrainingMonitor(toy_recipe(steps=4000), schedule_steps=160)
    sick = figures(**{"diversity/fake": 0.0}).values
    assert next(n for n in range(1, 999) if patient.read(n, sick)) == 80


def test_how_long_a_sign_has_lasted_survives_a_checkpoint():
    first, second = TrainingMonitor(toy_recipe(steps=1000)), TrainingMonitor(toy_recipe(steps=1000))
    sick = figures(**{"diversity/fake": 0.0}).values
    for number in (100, 200):
        assert first.read(number, sick) == {}
    second.restore(first.state())
    assert list(second.read(300, sick)) == ["mode collapse"]


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


def test_a_critic_without_a_scale_is_never_said_to_have_won_or_lost():
    for loss, gap in ((-9.0, 9.0), (9.0, -9.0)):
        critic = figures(loss=loss, gap=gap)._replace(loss_at_chance=0.0)
        assert [name for name, find in CHECKS.items() if find(critic)] == []


class AsItIs(torch.nn.Module):
    """A discriminator without features."""


def test_variety_is_measured_in_distances_between_samples():
    real, fake = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0], [1.0, 2.0]])
    seen = diversity_metrics(AsItIs(), real, fake, None)
    expected = {
        "diversity/real": 5 / 2.5,
        "diversity/fake": 1 / 5,
        "near_duplicates/real": 0,
        "near_duplicates/fake": 0,
    }
    assert {name: float(value) for name, value in seen.items()} == pytest.approx(expected)
    same = diversity_metrics(AsItIs(), real, fake[[0, 0]], None)
    assert (float(same["diversity/fake"]), float(same["near_duplicates/fake"])) == (0.0, 1.0)
    assert diversity_metrics(AsItIs(), real[:1], fake[:1], None) == {}


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_of_equal_reals_no_fake_is_said_to_be_more_or_less_varied(value):
    real, fake = torch.full((64, 7), value), torch.arange(448.0).view(64, 7)
    seen = diversity_metrics(AsItIs(), real, fake, None)
    assert seen.keys() == {"diversity/real"} and float(seen["diversity/real"]) < 1e-6


def test_looking_draws_nothing_and_changes_nothing():
    def weights(look: bool) -> list[Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            trainer = AdversarialTrainer(toy_recipe(discriminator=ToyDiscriminator(dropout=0.5)))
            for _ in trainer.steps():
                if look:
                    assert len(trainer.diversity_metrics()) == 4
            return [p.detach() for net in trainer.networks().values() for p in net.parameters()]

    assert all(map(torch.equal, weights(look=True), weights(look=False)))
    assert AdversarialTrainer(toy_recipe()).diversity_metrics() == {}  # before the first step
