"""The automatic gamma: a squared length of the data, of any modality."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from multigan.core.auto_gamma import (
    GAMMA_PER_SQUARED_LENGTH,
    effective_squared_length,
    resolve_gamma,
)
from multigan.core.recipe import recipe_from_json, recipe_to_json
from multigan.core.rng import keyed_rng
from multigan.engine.objective import Objective
from tests.run_helpers import tiny_recipe
from tests.toy_domain import LinearDiscriminator, ToyData


def gaussian(n, deviations):
    rows = torch.randn(n, len(deviations), generator=keyed_rng("gamma test"))
    return rows * torch.tensor(deviations)


class Fixed(ToyData):
    """A set of given samples."""

    def __init__(self, x, draws=False):
        super().__init__(draws=draws)
        self.points = x


def test_the_squared_length_is_the_mean_over_all_fours_of_samples():
    x = gaussian(7, [1.0, 0.5, 2.0]).double()
    shared, length = [], []
    for a, b, c, d in itertools.permutations(range(7), 4):
        u, v = x[a] - x[b], x[c] - x[d]
        shared.append(float(u @ v) ** 2)
        length.append(float(v @ v))
    assert effective_squared_length(x) == pytest.approx(sum(shared) / sum(length), rel=1e-9)


def test_it_is_twice_the_mean_variance_weighted_by_the_variances():
    x = gaussian(4000, [1.0, 2.0, 3.0])
    assert effective_squared_length(x) == pytest.approx(2 * (1 + 16 + 81) / (1 + 4 + 9), rel=0.05)
    assert effective_squared_length(gaussian(4000, [0.3] * 20)) == pytest.approx(2 * 0.09, rel=0.05)


def test_stretched_data_have_the_same_objective_at_a_gamma_that_grows_by_the_square():
    """D(x) on x and D(x / s) on s x: the loss with its penalties is one number for both."""
    x, slope = gaussian(64, [1.0, 0.2, 0.5]), torch.tensor([1.0, 2.0, 3.0])
    losses = []
    for s in (1.0, 10.0):
        gammas = dict.fromkeys(("r1", "r2"), resolve_gamma("auto", Fixed(s * x)))
        objective = Objective(LinearDiscriminator(slope / s), "relativistic", gammas)
        terms = objective.discriminator_loss(s * x, -s * x, None, gammas, keyed_rng(0))
        losses.append(terms["loss/discriminator"].item())
    assert (
        losses[0] == pytest.approx(losses[1])
        and losses[0] > terms["loss/discriminator_adversarial"].item()
    )


def test_axes_that_say_nothing_new_leave_it_alone_and_places_do_not_matter():
    x = gaussian(64, [1.0, 0.2, 0.5])
    empty = torch.cat([x, torch.zeros(64, 50)], 1)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=keyed_rng("turn"))).Q
    for other in (empty, x + 100, x @ turn, x.reshape(64, 1, 3, 1)):
        assert effective_squared_length(other) == pytest.approx(
            effective_squared_length(x), rel=1e-3
        )


def test_an_image_at_twice_the_resolution_has_four_times_the_gamma():
    small = torch.randn(64, 1, 4, 4, generator=keyed_rng("images"))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert effective_squared_length(large) == pytest.approx(4 * effective_squared_length(small))


def test_the_answer_has_two_digits_and_follows_from_the_data_alone():
    x = gaussian(300, [1.0, 0.2])
    gamma = resolve_gamma("auto", Fixed(x))
    assert (
        gamma
        == float(f"{gamma:.1e}")
        == pytest.approx(GAMMA_PER_SQUARED_LENGTH * effective_squared_length(x), rel=0.05)
    )
    torch.randn(3)
    assert resolve_gamma("auto", Fixed(x)) == gamma
    drawn = [resolve_gamma("auto", Fixed(x, draws=True)) for _ in range(2)]
    assert drawn[0] == drawn[1] >= gamma  # its noise is part of what D sees


class Embedding(LinearDiscriminator):
    """Its penalties are taken at `embed(x)`: a linear map, or a transcription of x."""

    def __init__(self, embed):
        super().__init__(torch.zeros(3))
        self.embed = embed

    def score(self, e, condition=None):
        return self(e, condition)

    def squared_input_norm(self, grad_e):
        return grad_e.square().sum(1)


def test_it_is_measured_where_the_penalty_is_taken():
    x = gaussian(64, [1.0, 0.2, 0.5])
    plain = resolve_gamma("auto", Fixed(x))
    assert (
        resolve_gamma("auto", Fixed(x), Embedding(lambda x: 10 * x)) == plain
    )  # the gradient at x
    read = resolve_gamma("auto", Fixed(x), Embedding(lambda x: (10 * x).clamp(-1, 1)))
    assert read == resolve_gamma("auto", Fixed((10 * x).clamp(-1, 1))) != plain


@pytest.mark.parametrize(("text", "number"), [("0", 0.0), ("0.25", 0.25), ("1e1", 10.0)])
def test_a_number_is_used_as_it_is(text, number):
    assert resolve_gamma(text, Fixed(torch.zeros(1, 1))) == number


@pytest.mark.parametrize("text", ["much", "", "-1", "nan", "inf"])
def test_any_other_text_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"gamma must be a number, 0 or more, or auto; got '.*'$"):
        resolve_gamma(text, Fixed(torch.zeros(9, 1)))


@pytest.mark.parametrize("x", [torch.zeros(9, 2), gaussian(3, [1.0, 1.0]), torch.ones(1, 2)])
def test_data_without_a_length_are_refused_in_one_line(x):
    with pytest.raises(ValueError, match="must have four or more different samples") as caught:
        resolve_gamma("auto", Fixed(x))
    assert "\n" not in str(caught.value)


def test_a_recipe_keeps_the_number_so_that_a_resumed_run_has_the_same():
    built = tiny_recipe("image")
    stored = json.loads(json.dumps(recipe_to_json(built)))
    assert stored["penalties"] == {"r1": 0.3, "r2": 0.3}
    assert recipe_from_json(stored).penalties == built.penalties
    assert tiny_recipe("points", gamma="auto").penalties["r1"] == pytest.approx(0.036, rel=0.1)
