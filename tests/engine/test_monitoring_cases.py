"""Trainings that are forced wrong are named; others, and their log lines, raise nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from multigan.core.quality import Quality
from multigan.core.recipe import Schedule, Term
from multigan.engine.log_checks import CHECKS, LogLine, LogSummary
from multigan.engine.losses import loss_at_chance
from multigan.engine.monitoring import TrainingMonitor
from multigan.engine.trainer import AdversarialTrainer
from multigan.engine.validation_checks import VALIDATION_CHECKS, CheckpointSummary
from tests.toy_domain import ToyData, ToyDiscriminator, toy_recipe

WITHIN = 210  # steps
EVERY = 10  # steps between two log lines


def diagnoses_of(**changes: Any) -> dict[str, str]:
    """Every diagnosis of a run of the toys, with its first message."""
    trainer = AdversarialTrainer(toy_recipe(steps=WITHIN, **changes))
    monitor, found, last = TrainingMonitor(trainer.recipe), {}, {}
    for step in trainer.steps():
        last |= {name: float(value) for name, value in step.values.items()}
        if step.number % EVERY == 0:
            look = {name: float(value) for name, value in trainer.diversity_metrics().items()}
            found = monitor.read(step.number, last | look) | found
    return found


def equal_data() -> ToyData:
    data = ToyData()
    data.points = torch.ones_like(data.points)
    return data


USUAL: dict[str, Any] = {
    "loss": "relativistic",
    "penalties": {"r1": 0.1, "r2": 0.1},
    "data": ToyData(200),
}


def test_a_usual_run_has_no_diagnosis():
    assert diagnoses_of(**USUAL) == {}


def test_a_learning_rate_a_hundred_times_too_large_is_named():
    found = diagnoses_of(generator_lr=1.0, discriminator_lr=1.0, penalties={"r1": 0.1, "r2": 0.1})
    assert found
    advice = ("smaller learning rate", "learning rate that is ten times smaller")
    assert any(words in message for message in found.values() for words in advice), found


def test_a_discriminator_that_does_not_learn_is_named():
    found = diagnoses_of(**USUAL | {"discriminator_lr": 0.0})
    assert found == {
        "frozen network": "The discriminator has a learning rate of 0, so it does not learn. "
        "Try discriminator_lr above 0."
    }


def test_a_frozen_generator_is_named_to_the_end_of_a_schedule_of_the_discriminator():
    monitor = TrainingMonitor(toy_recipe(steps=400))
    for step in range(100, 420, 20):
        rates = {"lr/generator": 0.0, "lr/discriminator": 0.01 * (400 - step)}
        found = monitor.read(step, figures(**rates).values)
    assert rates["lr/discriminator"] == 0
    assert list(found) == ["frozen network"] and "The generator has" in found["frozen network"]


def test_a_rate_of_0_in_the_last_line_alone_is_no_diagnosis():
    falling = Schedule(1e-2, 0.0)
    assert diagnoses_of(**USUAL | {"generator_lr": falling, "discriminator_lr": falling}) == {}


@pytest.mark.parametrize("cause", ["degenerate data", "frozen network"])
def test_samples_are_not_judged_where_the_training_means_nothing(cause):
    values = {"diversity/real": 0.0} if cause == "degenerate data" else {"lr/generator": 0.0}
    monitor = TrainingMonitor(toy_recipe(steps=400))
    for step in range(100, 400, 20):
        found = monitor.read(step, figures(**values | {"lr/discriminator": 0.1}).values)
    assert list(found) == [cause]
    missing = NEIGHBORS | {"missing_fraction": 0.9}
    assert [monitor.read_checkpoint(step, missing, None) for step in (300, 400)] == [{}, {}]
    again = TrainingMonitor(toy_recipe(steps=400))
    again.restore(monitor.state())
    assert [again.read_checkpoint(step, missing, None) for step in (400, 420)] == [{}, {}]
    assert list(again.read(420, figures(**values | {"lr/discriminator": 0.1}).values)) == [cause]
    assert [again.read_checkpoint(step, missing, None) for step in (440, 460)] == [{}, {}]


def test_a_dead_discriminator_is_the_cause_of_what_is_wrong_with_samples():
    monitor = TrainingMonitor(toy_recipe(steps=400))
    dead = {"loss": 1.3863, "gap": 0.0, "auc": 0.5, "grad_norm/discriminator": 0.0}
    monitor.read_checkpoint(80, NEIGHBORS | {"two_sample_accuracy": 0.9}, None)
    for step in range(100, 400, 20):
        found = monitor.read(step, figures(**dead, penalty=0.0).values)
    assert list(found) == ["dead discriminator"]  # and no vanishing gradient, whose advice differs
    missing = NEIGHBORS | {"missing_fraction": 0.9}
    found = [monitor.read_checkpoint(step, missing, None) for step in (300, 400)][-1]
    advice = "Try the advice of another diagnosis first: dead discriminator."
    assert found["missing modes"].endswith(advice)


def test_a_frozen_discriminator_is_named():
    frozen = ToyDiscriminator().requires_grad_(False)
    monitor = TrainingMonitor(toy_recipe(steps=1000, discriminator=frozen))
    lines = [monitor.read(step, figures().values) for step in (100, 200, 300)]
    assert "no trainable weight" in lines[-1]["frozen network"]


def test_data_that_are_all_equal_are_named():
    found = diagnoses_of(**USUAL | {"data": equal_data()})
    assert list(found) == ["degenerate data"]
    assert found["degenerate data"].startswith("The real samples of a batch are all equal: they")


def figures(
    loss: float = 0.6, gap: float = 0.2, penalty: float = 0.1, auc: float = 0.6, **values: float
) -> LogSummary:
    usual = {
        "diversity/real": 0.5,
        "diversity/fake": 0.9,
        "diversity/fake_within_condition": 0.9,
        "near_duplicates/real": 0.1,
        "near_duplicates/fake": 0.1,
        "grad_norm/discriminator": 1.0,
        "grad_norm/generator": 1.0,
    }
    usual |= {
        "loss/discriminator": loss + penalty,
        "loss/discriminator_adversarial": loss,
        "logits/gap": gap,
        "logits/auc": auc,
    }
    sizes = {"discriminator": 100, "generator": 100}
    start = {"discriminator": 1.3, "generator": 1.0}
    return LogSummary(usual | values, 0.6931, sizes, start)


def swinging(losses: list[float], aucs: list[float]) -> LogSummary:
    pairs = zip(losses, aucs, strict=True)
    return figures()._replace(recent=[LogLine(10 * k, *pair) for k, pair in enumerate(pairs)])


DEAD = {"loss": 0.6934, "gap": -0.0004, "auc": 0.52, "grad_norm/discriminator": 0.09}


@pytest.mark.parametrize(
    ("log", "name", "message"),
    [
        (figures(**{"diversity/real": 0.0}), "degenerate data", "differ by 0 of"),
        (figures(**{"diversity/fake": 0.02}), "mode collapse", "differ 2 % as much"),
        (
            figures(**{"near_duplicates/fake": 0.75}),
            "mode collapse",
            "75 % have a near-duplicate in their batch (real: 10",
        ),
        (
            figures(**{"diversity/fake_within_condition": 0.03}),
            "collapse within conditions",
            "differ 3 % as much",
        ),
        (figures(loss=40.0), "divergence", "loss is 40; at chance it is 0.693"),
        (
            figures(**{"grad_norm/generator": 150.0}),
            "exploding gradient",
            "norm of the generator is 150; at the start it was 1.",
        ),
        (
            figures(loss=0.002, gap=6.0, auc=1.0),
            "discriminator dominates",
            "score 6 above fakes and the discriminator's loss",
        ),
        (figures(loss=0.8, gap=-0.1), "generator dominates", "Fakes score 0.1 above real samples"),
        (
            figures(**DEAD),
            "dead discriminator",
            "score -0.0004 above fakes and exceed them in 52% of pairs, its loss is 0.6934 (at "
            "chance 0.6931), and its gradient norm went from 1.3 to 0.09.",
        ),
        (
            figures(**DEAD | {"grad_norm/discriminator": 1.0})._replace(two_sample_accuracy=0.9),
            "dead discriminator",
            "went from 1.3 to 1.",
        ),
        (
            figures(loss=0.692, gap=0.002, auc=0.9),
            "penalty suppresses discriminator",
            "exceed fakes in 90% of pairs, but by 0.002 only",
        ),
        (
            figures(loss=0.65, gap=0.08, auc=1.0),
            "penalty suppresses discriminator",
            "exceed fakes in 100% of pairs, but by 0.08 only, and the adversarial loss is 0.65;",
        ),
        (
            figures(loss=0.692, gap=0.002, auc=0.65)._replace(two_sample_accuracy=0.9),
            "penalty suppresses discriminator",
            "exceed fakes in 65% of pairs",
        ),
        (
            figures(
                loss=0.692, gap=0.002, auc=0.9, penalty=0.1, **{"loss/discriminator_terms": 0.1}
            ),
            "penalty suppresses discriminator",
            "The further terms of the discriminator's loss keep the logits equal",
        ),
        (  # saturated: equal but for rounding
            figures(**DEAD | {"auc": 0.0}),
            "dead discriminator",
            "exceed them in 0% of pairs, its loss is 0.6934",
        ),
        (
            figures(**DEAD | {"auc": 0.0}, penalty=0.0),
            "dead discriminator",
            "Try a discriminator without a sigmoid",
        ),
        (figures(penalty=9.0), "penalty dominates", "are 9 of the discriminator's loss"),
        (figures(**{"grad_norm/generator": 1e-10}), "vanishing gradient", "generator is 1e-10"),
        (figures(**{"lr/generator": 0.0}), "frozen network", "generator has a learning rate of 0"),
        (swinging([0.1, 2.0] * 3, [0.6] * 6), "oscillation", "loss went 5 times between 0.1 and 2"),
        (swinging([0.6] * 6, [0.9, 0.1] * 3), "oscillation", "AUC went 5 times between 0.1 and"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_diagnosis_names_its_figures_and_what_to_try(log, name, message):
    found = {key: text for key, check in CHECKS.items() if (text := check(log)) is not None}
    assert list(found) == [name] and message in found[name]
    assert any(advice in found[name] for advice in (". Try ", "Check the data"))
    assert "\n" not in found[name] and found[name].endswith(".")


@pytest.mark.parametrize(
    "log",
    [
        figures(),
        figures(loss=0.1, gap=3.6, auc=0.99),
        figures(loss=0.5, gap=0.5, auc=0.96),
        figures(loss=0.65, gap=0.08, auc=1.0, penalty=0.0),  # it has just begun
        figures(loss=0.7, gap=-0.01, auc=0.5),
        figures(**DEAD | {"grad_norm/discriminator": 1.0}),  # it guesses, and learns
        figures(**DEAD | {"grad_norm/discriminator": 1.0})._replace(two_sample_accuracy=0.65),
        figures(**DEAD)._replace(two_sample_accuracy=0.51),  # samples are as good as data
        figures(loss=0.69, gap=0.002, auc=0.6, penalty=0.0),
        figures(loss=0.692, gap=0.002, auc=0.65)._replace(two_sample_accuracy=0.65),
        figures(**DEAD | {"auc": 0.0, "grad_norm/discriminator": 1.0}),  # it prefers fakes
        swinging([0.1, 0.5, 0.1, 0.5, 0.1, 0.5], [0.5, 0.9, 0.5, 0.9, 0.5, 0.9]),
        swinging([2.0, 1.8, 0.6, 0.5, 0.3, 0.1], [0.1, 0.2, 0.5, 0.6, 0.8, 0.9]),  # once
    ],
)
def test_usual_figures_have_no_diagnosis(log):
    assert [name for name, check in CHECKS.items() if check(log)] == []


NEIGHBORS = {
    "copies": 0.02,
    "copies_by_chance": 0.01,
    "distance_ratio": 1.0,
    "two_sample_accuracy": 0.6,
    "missing_fraction": 0.02,
    "diversity": 0.9,
    "spread": 0.9,
    "diversity_within_condition": 0.9,
    "spread_within_condition": 0.9,
    "condition_fake": 0.9,
    "condition_real": 0.95,
    "condition_chance": 0.1,
    "condition_items": 256.0,
    "condition_auc": 0.9,
}


def checkpoint(*figures: float, **neighbors: float) -> CheckpointSummary:
    """The last of several checkpoints, 100 steps apart; real data have 1, a baseline 2."""
    history = {
        100 * k: Quality("distance", value, 1.0, 2.0, "real", "Gaussian")
        for k, value in enumerate(figures, 1)
    }
    return CheckpointSummary(NEIGHBORS | neighbors, history, 100 * len(figures))


@pytest.mark.parametrize(
    ("now", "name", "message"),
    [
        (
            checkpoint(diversity=0.2, spread=0.3),
            "mode collapse",
            "differ 20 % as much as held-out items",
        ),
        (
            checkpoint(diversity_within_condition=0.35, spread_within_condition=0.4),
            "collapse within conditions",
            "of one class or condition differ 35 % as much",
        ),
        (
            checkpoint(
                diversity=0.1,
                diversity_within_condition=0.1,
                missing_fraction=0.7,
                distance_ratio=2.0,
            ),
            "underfitting",
            "differ 90 % as much as held-out items, but 10 % as much in the directions",
        ),
        (checkpoint(missing_fraction=0.4), "missing modes", "hold 40% of the held-out items"),
        (
            checkpoint(copies=0.8, distance_ratio=0.1),
            "memorization",
            "80% are nearer to one than held-out items are, and their median distance is 0.1 of",
        ),
        (
            checkpoint(train_share=0.92, train_chance=0.667, train_z=2.5, distance_ratio=0.36),
            "memorization",
            "one of these is the nearest item to 92% (chance: 67%), and their median",
        ),
        (
            checkpoint(distance_ratio=7e4, spread=1200.0, missing_fraction=0.9, condition_fake=0.1),
            "divergence",
            "are 7e+04 times as far from training items as held-out items are, and differ 1.2e+03",
        ),
        (checkpoint(condition_fake=0.12), "ignored condition", "in 12% of cases, that of a held"),
        (
            checkpoint(condition_real=0.11, condition_auc=0.5, condition_fake=0.1),
            "mislabeled data",
            "has its label in 11% of cases (chance: 10%)",
        ),
        (
            checkpoint(1.5, 1.2, 1.9),
            "validation worsens",
            "distance on held-out data is 1.9; at step 200 it was 1.2 (real: 1)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_diagnosis_of_a_checkpoint_names_its_figures(now, name, message):
    found = {key: text for key, check in VALIDATION_CHECKS.items() if (text := check(now))}
    assert list(found) == [name] and message in found[name]
    assert ". Try " in found[name] or ". Check that" in found[name]


@pytest.mark.parametrize(
    "now",
    [
        checkpoint(),
        checkpoint(1.5, 1.2, 1.3),
        # in other directions they vary enough
        checkpoint(diversity_within_condition=0.35, spread_within_condition=1.2),
        checkpoint(copies=0.8, distance_ratio=1.0),  # nearer, but not near
        checkpoint(copies=0.3, copies_by_chance=0.17, distance_ratio=0.5),  # of few held-out items
        checkpoint(condition_real=0.11, condition_fake=0.1),  # the discriminator uses the labels
        # modes that are too narrow, and held-out items as near to samples as training items
        checkpoint(train_share=0.89, train_chance=0.889, train_z=0.1, distance_ratio=0.45),
        # training items unlike held-out ones, and samples as far from them as these
        checkpoint(train_share=0.99, train_chance=0.889, train_z=9.0, distance_ratio=1.0),
        checkpoint(train_share=1.0, train_chance=0.8, train_z=1.2, distance_ratio=0.3),  # few items
        checkpoint(  # labels that fit, of four items
            condition_real=1.0,
            condition_fake=1.0,
            condition_chance=0.5,
            condition_items=4.0,
            condition_auc=1.0,
        ),
        CheckpointSummary({}, {}, 100),
        CheckpointSummary({}, {100: Quality("score", 1.0), 200: Quality("score", 9.0)}, 200),
    ],
)
def test_usual_measurements_have_no_diagnosis(now):
    assert [name for name, check in VALIDATION_CHECKS.items() if check(now)] == []


def test_a_checkpoint_is_judged_late_in_the_run_and_twice():
    monitor = TrainingMonitor(toy_recipe(steps=1000))
    missing = NEIGHBORS | {"missing_fraction": 0.5}
    found = [list(monitor.read_checkpoint(n, missing, None)) for n in (200, 300, 400, 500)]
    assert found == [[], [], [], ["missing modes"]]
    again = TrainingMonitor(toy_recipe(steps=1000))
    again.restore(monitor.state())
    assert list(again.read_checkpoint(600, missing, None)) == ["missing modes"]
    assert again.read_checkpoint(700, NEIGHBORS, None) == {}


def dead_run(number: int) -> dict[str, float]:
    """A run of 3,000 steps whose discriminator dies at step 600."""
    dead = figures(**DEAD).values
    alive = figures(loss=0.55, gap=0.4, **{"grad_norm/discriminator": 1.3}).values
    values = dict(dead if number >= 600 else alive)
    del values["logits/auc"]  # as an earlier version logged it
    return values


def test_a_discriminator_is_dead_only_after_a_long_share_of_the_run():
    monitor = TrainingMonitor(toy_recipe(steps=3000, loss="relativistic"))
    first = next(n for n in range(30, 3001, 30) if monitor.read(n, dead_run(n)))
    assert first == 1200
    assert list(monitor.read(1230, dead_run(1230))) == ["dead discriminator"]


def test_a_discriminator_at_the_limit_of_two_diagnoses_has_one_of_them():
    monitor = TrainingMonitor(toy_recipe(steps=400))
    monitor.read_checkpoint(80, NEIGHBORS | {"two_sample_accuracy": 0.9}, None)
    found = []
    for line, step in enumerate(range(100, 400, 20)):
        auc = 0.54 if line % 10 < 5 else 0.66  # the mean of five lines passes the limit of .6
        values = figures(loss=1.385, gap=0.001, auc=auc, **{"grad_norm/discriminator": 0.1}).values
        found.append(set(monitor.read(step, values)))
    pair = {"dead discriminator", "penalty suppresses discriminator"}
    assert all(len(names & pair) == 1 for names in found[6:])
    assert set.union(*found[6:]) >= pair


def readings(*collapsed: tuple[int, bool]) -> list[bool]:
    """Whether there was a diagnosis at each of (step, is collapsed)."""
    monitor = TrainingMonitor(toy_recipe(steps=1000))
    usual = figures().values
    return [
        bool(monitor.read(n, usual | {"diversity/fake": 0.9 - 0.9 * bad})) for n, bad in collapsed
    ]


def test_a_diagnosis_is_reported_only_once_it_has_lasted():
    assert readings(*[(n, True) for n in (10, 50, 90)]) == [False] * 3  # the first steps
    assert readings(*[(n, True) for n in (100, 200, 300)]) == [False, False, True]
    assert readings(*[(n, True) for n in (100, 110, 120, 200)]) == [False, False, False, True]
    assert readings((100, True), (200, True), (250, False), (300, True)) == [False] * 4


@pytest.mark.parametrize(("steps", "first"), [(4, 50), (160, 80), (1000, 200), (10**400, 200)])
def test_a_short_run_is_judged_after_half_of_it(steps, first):
    monitor, collapsed = (
        TrainingMonitor(toy_recipe(steps=steps)),
        figures(**{"diversity/fake": 0.0}).values,
    )
    assert next(n for n in range(1, 999) if monitor.read(n, collapsed)) == first


def test_a_short_planned_length_is_what_counts_and_not_the_steps_of_a_longer_resumption():
    monitor = TrainingMonitor(toy_recipe(steps=4000), schedule_steps=160)
    collapsed = figures(**{"diversity/fake": 0.0}).values
    assert next(n for n in range(1, 999) if monitor.read(n, collapsed)) == 80


def test_how_long_a_diagnosis_has_lasted_survives_a_checkpoint():
    first, second = TrainingMonitor(toy_recipe(steps=1000)), TrainingMonitor(toy_recipe(steps=1000))
    collapsed = figures(**{"diversity/fake": 0.0}).values
    for number in (100, 200):
        assert first.read(number, collapsed) == {}
    second.restore(first.state())
    assert list(second.read(300, collapsed)) == ["mode collapse"]


def test_a_loss_without_a_scale_never_dominates():
    for loss, gap in ((-9.0, 9.0), (9.0, -9.0)):
        critic = figures(loss=loss, gap=gap)._replace(loss_at_chance=0.0)
        assert [name for name, find in CHECKS.items() if find(critic)] == []


COLLAPSED = {"diversity/fake": 0.02, "diversity/fake_within_condition": 0.03}


@pytest.mark.parametrize("share", ["penalty", "terms"])
def test_a_larger_gamma_is_no_advice_where_a_penalty_holds_the_discriminator(share):
    terms = {"loss/discriminator_terms": 0.1 if share == "terms" else 0.0}
    for loss, is_held in ((0.692, True), (0.677, True), (0.3, False)):
        log = figures(loss, gap=0.002, **COLLAPSED | terms)
        assert log.is_held == is_held
        monitor = TrainingMonitor(toy_recipe(steps=400, loss="relativistic"))
        for step in range(100, 400, 20):
            found = monitor.read(step, log.values)
        few = {name: 0.1 for name in ("diversity", "spread", "diversity_within_condition")}
        few |= {"missing_fraction": 0.9, "spread_within_condition": 0.1}
        for step in (300, 400):
            found |= monitor.read_checkpoint(step, NEIGHBORS | few, None)
        assert {"mode collapse", "collapse within conditions", "missing modes"} <= found.keys()
        for name in ("mode collapse", "collapse within conditions", "missing modes"):
            assert ("a larger gamma" in found[name]) != is_held
            assert ("that is ten times smaller" in found[name]) == is_held
        again = TrainingMonitor(toy_recipe(steps=400, loss="relativistic"))
        again.restore(monitor.state())
        assert again.state() == monitor.state()


def test_a_penalty_of_the_user_that_holds_the_discriminator_counts_as_one():
    def hold(step):
        return sum(step.discriminator(x).square().mean() for x in (step.real, step.fake))

    given = {"hold": Term(hold, 1000.0, "discriminator")}
    steps = AdversarialTrainer(toy_recipe(steps=3, loss="relativistic", penalties=given)).steps()
    values = {name: float(value) for name, value in list(steps)[-1].values.items()}
    at_chance = {"loss/discriminator_adversarial": 0.692, "logits/auc": 0.95}
    own = {"loss/discriminator": 0.692 + values["loss/discriminator_terms"]}
    log = LogSummary(values | at_chance | own, loss_at_chance("relativistic"), {})
    assert log.terms > 0 and abs(log.penalty) < 1e-6 * log.terms and log.is_held
    message = CHECKS["penalty suppresses discriminator"](log)
    assert message.endswith("Try a weight of the discriminator's terms that is ten times smaller.")
