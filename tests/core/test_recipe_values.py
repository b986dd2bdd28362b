"""Numbers of a recipe are numbers, terms are terms, before anything is written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from multigan import Recipe, Schedule, Term
from multigan.core.recipe import AutoGamma, check_same_recipe, recipe_to_json
from tests.toy_domain import toy_recipe


def function(step):
    return step.fake.mean()


WRONG = {
    "batch_size": [16.0, "16", None, True],
    "steps": [2.5, True, "3", Schedule(1, 2)],
    "likelihood_patience": [1.5, "2"],
    "generator_lr": ["1e-3", None, (1, 2), Schedule("a", 1), Schedule(1, 1, None)],
    "beta1": [True, "0"],
    "burn_in": ["a", Schedule(0, 1)],
    "max_grad_norm": ["1", True],
    "evaluate_during_likelihood": [1, "yes"],
    "penalties": [["r1"], "r1", function, {"r1": "0.1"}, {"r1": (1, 2)}, {"r1": None}],
    "losses": [[function], function, {"a": (function, 1.0)}, {"a": Term(function, "x")}],
}


@pytest.mark.parametrize("name, value", [(k, v) for k, values in WRONG.items() for v in values])
def test_a_value_of_another_type_is_refused_in_one_sentence(name, value):
    with pytest.raises(ValueError, match=r"must be .*; got ") as caught:
        toy_recipe(**{name: value})
    message = str(caught.value)
    assert "\n" not in message and (name in message or "r1" in message or "term a" in message)


def test_numbers_of_numpy_are_converted():
    made = toy_recipe(
        steps=np.int64(3),
        generator_lr=np.float32(0.5),
        beta1=np.int32(0),
        penalties={"r1": np.float64(2), "r2": AutoGamma()},
        losses={"a": Term(function, np.float32(0.25))},
        discriminator_lr=Schedule(np.float32(1), 0, warmup=np.float32(0.25)),
    )
    values = made.steps, made.generator_lr, made.beta1, made.penalties["r1"]
    assert values == (3, 0.5, 0, 2) and [type(v) for v in values] == [int, float, int, float]
    assert type(made.losses["a"].weight) is float and type(made.discriminator_lr.start) is float
    assert type(made.discriminator_lr.warmup) is float


def test_a_schedule_written_before_it_had_a_warm_up_is_the_same_recipe():
    term = Term(function, Schedule(1.0, 0.0))
    made = toy_recipe(generator_lr=Schedule(1e-3, 0.0, 0.5), losses={"a": term})
    stored = recipe_to_json(made, of_caller=True)
    text = json.dumps(stored)
    assert text.count(', "warmup": 0.0') == 2
    stored = json.loads(text.replace(', "warmup": 0.0', ""))
    check_same_recipe(made, stored, "run")
    changed = replace(made, generator_lr=Schedule(1e-3, 0.0, 0.5, warmup=0.1))
    with pytest.raises(ValueError, match="generator_lr of the recipe must be as in the first"):
        check_same_recipe(changed, stored, "run")


@pytest.mark.parametrize("term", [function, Term(function, 1.0, "discriminator")])
def test_terms_of_both_networks_have_different_names(term):
    with pytest.raises(ValueError, match="must have different names; got 'a' in penalties and"):
        toy_recipe(penalties={"a": term}, losses={"a": function})
    made = toy_recipe(penalties={"a": term, "r1": 1.0}, losses={"b": function, "r1": function})
    assert isinstance(made, Recipe) and set(made.losses) == {"a", "b", "r1"}
