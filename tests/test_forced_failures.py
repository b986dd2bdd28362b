"""Whole trainings that are forced wrong are named by their diagnoses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch

from multigan.core.recipe import Recipe
from multigan.core.recipe_file import build_recipe, read_recipe, resolve_hyperparameters
from multigan.core.rng import keyed_rng
from tests.run_diagnoses import diagnoses


def built(name: str, steps: int, **hyperparameters: Any) -> Recipe:
    """A recipe, tiny where it is of images."""
    file = read_recipe(name)
    values = resolve_hyperparameters(file, hyperparameters | {"steps": steps}, name == "image")
    return build_recipe(file, values, seed=0)


def shuffled_labels(recipe: Recipe) -> Recipe:
    """Give every image the label of another one, in all splits."""
    for split in ("train", "valid"):
        data: Any = recipe.data if split == "train" else recipe.data.split(split)
        order = torch.randperm(len(data.labels), generator=keyed_rng("labels", split))
        data.labels = data.labels[order]
        if split == "valid":
            recipe.data.split = lambda _, held_out=data: held_out  # type: ignore[method-assign]
    return recipe


class Failure(NamedTuple):
    """A recipe, what is done to it, and the diagnosis that must be found."""

    recipe: str
    steps: int
    hyperparameters: dict[str, Any]
    name: str
    change: Any = None


FAILURES = {
    "one image of each class": Failure(
        "image", 400, {"loss": "minimax", "gamma": "0", "lr": 0.02}, "collapse within conditions"
    ),
    "2 of 25 modes": Failure(
        "points", 1500, {"loss": "nonsaturating", "gamma": "0", "width": 64}, "missing modes"
    ),
    "a learning rate that is 100 times too large": Failure(
        "image", 400, {"lr": 0.3}, "collapse within conditions"
    ),
    "labels in another order": Failure("image", 400, {}, "mislabeled data", shuffled_labels),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAILURES)
def test_a_training_that_is_forced_wrong_is_named(case):
    failure = FAILURES[case]
    recipe = built(failure.recipe, failure.steps, **failure.hyperparameters)
    recipe = replace(recipe) if failure.change is None else failure.change(recipe)
    assert failure.name in diagnoses(recipe, failure.steps, failure.steps)
