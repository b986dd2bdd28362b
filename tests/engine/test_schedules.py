"""Values that move during a run: shapes, ends, the burn-in, refusals."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from multigan.core.recipe import Recipe, Schedule
from multigan.engine.losses import LOSSES
from multigan.engine.schedules import (
    SHAPES,
    check_schedule,
    progress_of,
    schedule_ends,
    scheduled_values,
    value_at,
    with_burn_in,
)
from tests.toy_domain import ToyGenerator, toy_recipe


def test_progress_runs_from_the_first_step_to_the_last_and_stays():
    assert [progress_of(step, 5) for step in (1, 2, 3, 4, 5, 6, 99)] == [
        0,
        0.25,
        0.5,
        0.75,
        1,
        1,
        1,
    ]
    assert progress_of(1, 1) == 1


def test_a_number_never_moves():
    assert [value_at(3, progress) for progress in (0.0, 0.4, 1.0)] == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("start", "end"), [(2.0, 0.5), (0.5, 2.0)])
def test_every_shape_meets_its_ends_and_moves_one_way(shape, start, end):
    schedule = Schedule(start, end, fraction=0.5, shape=shape)
    values = [value_at(schedule, k / 20) for k in range(21)]
    assert values[0] == pytest.approx(start) and values[10:] == pytest.approx([end] * 11)
    rising = [b > a for a, b in itertools.pairwise(values[:11])]
    assert rising == [end > start] * 10


@pytest.mark.parametrize(
    ("shape", "quarter", "half"),
    [
        ("linear", 6.25, 4.5),
        ("cosine", 1 + 7 * (1 + math.cos(math.pi / 4)) / 2, 4.5),
        ("exponential", 8 ** (3 / 4), 8**0.5),
    ],
)
def test_shapes_have_their_known_values_on_the_way(shape, quarter, half):
    schedule = Schedule(8.0, 1.0, shape=shape)
    assert value_at(schedule, 0.25) == pytest.approx(quarter)
    assert value_at(schedule, 0.5) == pytest.approx(half)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_warm_up_multiplies_a_schedule_by_a_line_from_zero_to_one(shape):
    plain, warm = (Schedule(8.0, 1.0, shape=shape, warmup=w) for w in (0.0, 0.2))
    values = [[value_at(s, k / 20) for k in range(21)] for s in (plain, warm)]
    assert values[1][0] == 0 and values[1][4:] == values[0][4:]
    assert values[1][2] == pytest.approx(values[0][2] / 2)


@pytest.mark.parametrize("warmup", [-0.1, 1.0, math.nan])
def test_a_warm_up_is_a_part_of_the_run(warmup):
    with pytest.raises(ValueError, match="warmup of generator_lr must be a part of the run"):
        check_schedule("generator_lr", Schedule(1e-3, 0.0, warmup=warmup))


def test_the_stated_start_is_that_of_the_schedule_not_of_its_warm_up():
    rate = Schedule(1e-3, 0.0, warmup=0.1)
    recipe = toy_recipe(generator_lr=rate, likelihood_lr=rate, likelihood_steps=5)
    ends = schedule_ends(recipe)
    assert ends["lr/generator"] == [1e-3, 0.0] == ends["lr/likelihood"]


def test_a_schedule_that_is_over_at_once_is_at_its_end():
    assert value_at(Schedule(1.0, 2.0, fraction=0.0), 0.0) == 2.0


@pytest.mark.parametrize("loss", LOSSES)
def test_no_loss_changes_a_number_of_the_recipe(loss):
    recipe = toy_recipe(loss=loss, penalties={"r1": 1.0}, generator_lr=2e-4, beta2=0.99)
    assert with_burn_in(recipe) == recipe
    for progress in (0.0, 0.1, 1.0):
        values = scheduled_values(with_burn_in(recipe), progress)
        assert values["lr/generator"] == 2e-4 and values["gamma/r1"] == 1.0
        assert values["adam/beta2"] == 0.99
    assert recipe_of_defaults(loss).burn_in == 0.0


def recipe_of_defaults(loss):
    toy = toy_recipe()
    parts = {"data": toy.data, "generator": toy.generator, "discriminator": toy.discriminator}
    return Recipe(steps=1, batch_size=4, loss=loss, **parts)


def test_the_ends_of_every_number_are_stated_with_those_of_a_burn_in():
    given = {"generator_lr": 2e-4, "discriminator_lr": Schedule(1e-3, 0.0), "beta2": 0.99}
    recipe = toy_recipe(penalties={"r1": 1.0, "r2": 0.5}, ema_halflife_samples=500, **given)
    plain = schedule_ends(recipe)
    assert plain == {
        "lr/generator": [2e-4, 2e-4],
        "lr/discriminator": [1e-3, 0.0],
        "gamma/r1": [1.0, 1.0],
        "gamma/r2": [0.5, 0.5],
        "adam/beta1": [0.0, 0.0],
        "adam/beta2": [0.99, 0.99],
        "ema/halflife_samples": [500.0, 500.0],
    }
    moved = {
        "lr/generator": [2e-4, 5e-5],
        "gamma/r1": [1.0, 0.1],
        "gamma/r2": [0.5, 0.05],
        "adam/beta2": [0.9, 0.99],
        "ema/halflife_samples": [0.0, 500.0],
    }
    assert schedule_ends(replace(recipe, burn_in=0.2)) == plain | moved


def test_annealed_values_are_among_the_ends_and_the_component_is_back_at_its_start():
    class Annealed(ToyGenerator):
        def anneal(self, progress: float) -> dict[str, float]:
            self.temperature = 1 - progress / 2
            return {"anneal/temperature": self.temperature}

    generator = Annealed()
    ends = schedule_ends(toy_recipe(generator=generator))
    assert ends["anneal/temperature"] == [1.0, 0.5] and generator.temperature == 1.0


def test_burn_in_has_the_published_numbers():
    recipe = with_burn_in(
        toy_recipe(
            burn_in=0.2,
            generator_lr=2e-4,
            discriminator_lr=2e-4,
            penalties={"r1": 1.0},
            ema_halflife_samples=500_000,
        )
    )
    for progress, lr, gamma, beta2, halflife in (
        (0.0, 2e-4, 1.0, 0.9, 0),
        (0.1, 1.25e-4, 0.55, 0.945, 250_000),
        (0.2, 5e-5, 0.1, 0.99, 500_000),
        (1.0, 5e-5, 0.1, 0.99, 500_000),
    ):
        assert value_at(recipe.generator_lr, progress) == pytest.approx(lr)
        assert value_at(recipe.discriminator_lr, progress) == pytest.approx(lr)
        assert value_at(recipe.penalties["r1"], progress) == pytest.approx(gamma)
        assert value_at(recipe.beta1, progress) == 0
        assert value_at(recipe.beta2, progress) == pytest.approx(beta2)
        assert value_at(recipe.ema_halflife_samples, progress) == pytest.approx(halflife)


def test_burn_in_leaves_given_schedules_alone():
    given = Schedule(1.0, 0.5)
    recipe = with_burn_in(
        toy_recipe(burn_in=0.2, generator_lr=given, penalties={"r1": given, "r2": 1.0})
    )
    assert recipe.generator_lr == given and recipe.penalties["r1"] == given
    assert recipe.penalties["r2"] == Schedule(1.0, 0.1, 0.2)


@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_a_recipe_asks_for_a_burn_in_whatever_its_loss(loss):
    assert with_burn_in(toy_recipe(loss=loss, burn_in=0.5)).generator_lr.fraction == 0.5
    assert with_burn_in(toy_recipe(loss=loss, burn_in=0.0)).generator_lr == 1e-2


def test_burn_in_never_starts_beta2_above_its_end():
    recipe = with_burn_in(toy_recipe(burn_in=0.2, beta2=0.5))
    assert value_at(recipe.beta2, 0.0) == value_at(recipe.beta2, 1.0) == 0.5


@pytest.mark.parametrize(
    "value",
    [
        -1.0,
        math.nan,
        math.inf,
        Schedule(1.0, -1.0),
        Schedule(math.nan, 1.0),
        Schedule(1.0, 0.0, shape="exponential"),
        Schedule(1.0, 0.5, shape="square"),
    ],
    ids=str,
)
def test_values_that_no_run_can_have_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"\blr must "):
        check_schedule("lr", value)


def test_a_limit_holds_for_both_ends_of_a_schedule():
    for value in (1.0, Schedule(0.9, 1.0), Schedule(1.0, 0.9)):
        with pytest.raises(ValueError, match="must be 0 or more, below 1"):
            check_schedule("beta", value, below=1)
        check_schedule("beta", value)
    check_schedule("beta", Schedule(0.0, 0.999), below=1)
