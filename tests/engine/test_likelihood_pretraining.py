"""The likelihood stage: what it minimises, when it stops, what it leaves, and exact resumption."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.core.protocols import Batch
from multigan.core.recipe import Schedule, recipe_from_json, recipe_to_json
from multigan.engine.likelihood_pretraining import VALIDATION_NLL
from multigan.engine.trainer import AdversarialTrainer
from tests.run_helpers import tiny_recipe
from tests.toy_domain import ToyData, ToyGenerator, toy_recipe


class Gaussian(nn.Module):
    """Points m + z, whose log-likelihood is that of a unit Gaussian around m, up to a constant."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))
        self.dropout = nn.Dropout(dropout)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, 2, generator=rng)

    def forward(self, latent: Tensor, condition: Any = None) -> Tensor:
        return self.mean + latent

    def log_likelihood(self, batch: Batch) -> Tensor:
        return -(batch.x - self.dropout(self.mean)).square().sum(1) / 2


class TwoSplits(ToyData):
    """The validation split is other points than the training split."""

    def split(self, name: str) -> ToyData:
        return ToyData(7, seed=1) if name == "valid" else self


def recipe_of(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "data": TwoSplits(20),
        "generator": Gaussian(),
        "steps": 3,
        "batch_size": 5,
        "likelihood_steps": 40,
        "likelihood_lr": 0.1,
    }
    return toy_recipe(**(fields | changes))


def test_it_comes_first_and_step_numbers_run_on():
    trainer = AdversarialTrainer(recipe_of(likelihood_steps=4))
    assert trainer.total_steps == 7 and trainer.steps_done == 0
    steps = list(trainer.steps())
    assert [step.number for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert ["loss/likelihood" in step.values for step in steps] == [True] * 4 + [False] * 3
    assert [step.samples_seen for step in steps] == [0] * 4 + [5, 10, 15]
    assert trainer.number == 3 and trainer.steps_done == trainer.total_steps == 7


def test_the_first_update_is_that_of_adam_on_the_mean_negative_log_likelihood():
    recipe = recipe_of(likelihood_steps=1, data=TwoSplits(5))
    generator = recipe.generator
    with torch.no_grad():
        generator.mean += torch.tensor([3.0, -2.0])
    loss = (recipe.data.points - generator.mean).square().sum(1).mean() / 2
    step = next(iter(AdversarialTrainer(recipe).steps()))
    torch.testing.assert_close(step.values["loss/likelihood"], loss.detach())
    torch.testing.assert_close(generator.mean.detach(), torch.tensor([2.9, -1.9]))  # lr x sign


def test_held_out_samples_are_measured_once_an_epoch_and_at_the_end():
    steps = list(AdversarialTrainer(recipe_of(likelihood_steps=10)).steps())[:10]
    measured = [step.number for step in steps if VALIDATION_NLL in step.values]
    assert measured == [4, 8, 10]  # 20 samples in batches of 5


def validation_nll_by_hand(generator):
    points = ToyData(7, seed=1).points
    return float((points - generator.mean.detach()).square().sum(1).mean() / 2)


def test_it_ends_with_the_weights_that_were_best_on_held_out_samples():
    trainer = AdversarialTrainer(recipe_of(likelihood_lr=0.5, likelihood_steps=41))
    stage, found = trainer.likelihood, {}
    for step in trainer.steps():
        if VALIDATION_NLL in step.values:
            found[step.number] = step.values[VALIDATION_NLL]
        if trainer.pretraining_done:
            break
    assert len(found) == 11 and min(found.values()) < found[41]
    assert validation_nll_by_hand(trainer.generator) == pytest.approx(min(found.values()), rel=1e-5)
    assert stage.best == min(found.values())
    assert torch.equal(trainer.ema.module.mean, trainer.generator.mean)


def test_it_stops_early_when_nothing_gets_better():
    recipe = recipe_of(likelihood_lr=Schedule(0.0, 0.0), likelihood_patience=2)
    trainer = AdversarialTrainer(recipe)
    steps = list(trainer.steps())
    assert trainer.likelihood.number == 12  # the first of three epochs is better than nothing
    assert [step.number for step in steps][-1] == 15 == trainer.total_steps


def test_dropout_acts_on_what_is_learnt_and_not_on_what_is_held_out():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trainer = AdversarialTrainer(recipe_of(generator=Gaussian(0.5)))
        with torch.no_grad():
            trainer.generator.mean += 1
        expected = validation_nll_by_hand(trainer.generator)
        assert trainer.likelihood.validation_nll() == pytest.approx(expected, rel=1e-5)
        assert trainer.generator.training


def test_micro_batches_and_clipping_act_in_it_too():
    whole, parts = (
        recipe_of(gradient_accumulation_steps=n, likelihood_steps=4, max_grad_norm=0.1)
        for n in (1, 5)
    )
    found = []
    for recipe in (whole, parts):
        step = next(iter(AdversarialTrainer(recipe).steps()))
        found.append((step.values["loss/likelihood"], step.values["grad_norm/likelihood"]))
    torch.testing.assert_close(found[0], found[1])


def test_a_likelihood_term_in_the_game_pulls_with_its_weight():
    gradients = []
    for weight in (0.0, 2.0):
        recipe = recipe_of(likelihood_steps=0, likelihood_weight=weight, data=TwoSplits(5))
        trainer, kept = AdversarialTrainer(recipe), []
        trainer.optimizers["generator"].register_step_pre_hook(
            lambda *_, kept=kept, g=recipe.generator: kept.append(g.mean.grad.clone())
        )
        next(iter(trainer.steps()))
        gradients += kept
    expected = gradients[0] - 2.0 * TwoSplits(5).points.mean(0)
    torch.testing.assert_close(gradients[1], expected)


@pytest.mark.parametrize("cut", [3, 6, 9, 13])
def test_training_from_a_state_of_either_stage_goes_on_bit_by_bit(cut):
    def fresh() -> Any:
        data = ToyData(7, draws=True)  # an epoch of less than two batches
        changes = {"likelihood_steps": 9, "steps": 6, "likelihood_lr": Schedule(0.3, 0.0)}
        return AdversarialTrainer(recipe_of(data=data, likelihood_weight=0.1, **changes), seed=3)

    straight = fresh()
    expected = list(straight.steps())
    first = fresh()
    steps = first.steps()
    before = [next(steps) for _ in range(cut)]
    buffer = io.BytesIO()
    torch.save(first.state(), buffer)
    buffer.seek(0)
    second = fresh()
    for name, network in second.networks().items():
        network.load_state_dict(first.networks()[name].state_dict())
    second.restore(torch.load(buffer, weights_only=True))
    after = list(second.steps())
    assert [s.number for s in before + after] == [s.number for s in expected]
    for one, other in zip(after, expected[cut:], strict=True):
        assert one.values.keys() == other.values.keys()
        assert all(float(one.values[k]) == float(other.values[k]) for k in one.values)
    for name, network in second.networks().items():
        other = straight.networks()[name].state_dict()
        assert all(torch.equal(v, other[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"likelihood_steps": -1}, "likelihood_steps must be 0 or more; got -1"),
        ({"likelihood_patience": 0}, "likelihood_patience must be 1 or more, or None; got 0"),
        ({"likelihood_lr": -1.0}, "likelihood_lr must be a finite number, 0 or more; got -1.0"),
        (
            {"likelihood_weight": -0.1},
            "likelihood_weight must be a finite number, 0 or more; got -0.1",
        ),
        ({"generator": ToyGenerator()}, "the generator must have log_likelihood; got ToyGenerator"),
        (
            {"generator": ToyGenerator(), "likelihood_steps": 0, "likelihood_weight": 0.5},
            "the generator must have log_likelihood; got ToyGenerator",
        ),
    ],
)
def test_what_no_stage_can_be_made_of_is_refused_in_one_line(changes, answer):
    with pytest.raises(ValueError) as caught:
        AdversarialTrainer(recipe_of(**changes))
    assert answer in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_validation_split_is_refused():
    class Unsplit(ToyData):
        def split(self, name: str) -> ToyData:
            return ToyData(0)

    with pytest.raises(ValueError, match="must have a validation split"):
        AdversarialTrainer(recipe_of(data=Unsplit()))


def test_the_fields_of_the_stage_survive_json_and_may_be_missing():
    recipe = tiny_recipe("points")
    fields = {"likelihood_steps": 7, "likelihood_lr": Schedule(0.1, 0.0), "likelihood_weight": 0.3}
    values = recipe_to_json(recipe) | {
        name: {"schedule": vars(v)} if isinstance(v, Schedule) else v for name, v in fields.items()
    }
    again = recipe_from_json(values)
    assert {name: getattr(again, name) for name in fields} == fields
    older = {k: v for k, v in recipe_to_json(recipe).items() if not k.startswith("likelihood")}
    assert recipe_from_json(older).likelihood_steps == 0
