"""How far each network moves: micro-batches, clipping, learning rates, schedules."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from multigan.core.recipe import Schedule
from multigan.engine.trainer import AdversarialTrainer
from tests.progress_capture import Watched, gradients_of, moved, parameters_of
from tests.toy_domain import (
    CLASSES,
    LinearDiscriminator,
    ToyGenerator,
    draw_weights,
    record_gradients,
    toy_recipe,
)


class FromLabels(nn.Module):
    """A generator without luck: equal labels give equal points, however the batch is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Embedding(CLASSES, 2)
        draw_weights(self, "from labels")

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.zeros(n)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        return self.points(condition).tanh()


@pytest.mark.parametrize("gradient_accumulation_steps", [2, 4, 8])
def test_micro_batches_add_up_to_the_gradients_of_one_batch(gradient_accumulation_steps):
    def gradients(gradient_accumulation_steps: int) -> dict[str, list[dict[str, Tensor]]]:
        recipe = toy_recipe(
            labelled=True,
            generator=FromLabels(),
            gradient_accumulation_steps=gradient_accumulation_steps,
            loss="relativistic",
            penalties={"r1": 0.5, "r2": 0.5},
        )
        return gradients_of(recipe, steps=2)

    whole = gradients(1)
    assert whole["generator"][0]["points.weight"].abs().max() > 1e-2
    assert whole["discriminator"][0]["body.0.weight"].abs().max() > 1e-2
    torch.testing.assert_close(gradients(gradient_accumulation_steps), whole, rtol=1e-4, atol=1e-6)


def test_reported_values_do_not_depend_on_micro_batches():
    for accumulate in (1, 4):
        recipe = toy_recipe(
            gradient_accumulation_steps=accumulate, discriminator=LinearDiscriminator(torch.ones(2))
        )
        trainer = AdversarialTrainer(recipe)
        record_gradients(trainer)
        real = torch.stack([step.values["logits/real"] for step in trainer.steps()])
        if accumulate == 1:
            whole = real
    torch.testing.assert_close(real, whole)


def test_clipping_bounds_the_gradient_and_reports_its_length_before():
    free, tight = gradients_of(toy_recipe()), gradients_of(toy_recipe(max_grad_norm=1e-3))
    for name in ("generator", "discriminator"):
        length = {
            key: torch.cat([g.flatten() for g in found[name][0].values()]).norm().item()
            for key, found in (("free", free), ("tight", tight))
        }
        assert length["tight"] == pytest.approx(1e-3, rel=1e-2) and length["free"] > 2e-3
        ratio = 1e-3 / length["free"]
        for key, gradient in free[name][0].items():
            torch.testing.assert_close(tight[name][0][key], ratio * gradient, rtol=1e-2, atol=1e-8)
    step = next(AdversarialTrainer(toy_recipe(max_grad_norm=1e-3)).steps())
    assert step.values["grad_norm/generator"] > 2e-3


def test_a_wide_clip_changes_nothing():
    torch.testing.assert_close(
        gradients_of(toy_recipe(max_grad_norm=1e6)), gradients_of(toy_recipe())
    )


def test_the_networks_move_at_their_own_learning_rates():
    recipe = toy_recipe(generator_lr=1e-3, discriminator_lr=Schedule(4e-3, 0.0, shape="linear"))
    trainer = AdversarialTrainer(recipe)
    before = {name: parameters_of(getattr(trainer, name)) for name in trainer.optimizers}
    step = next(trainer.steps())
    for name, rate in (("generator", 1e-3), ("discriminator", 4e-3)):
        assert step.values[f"lr/{name}"] == rate
        now = parameters_of(getattr(trainer, name))
        # the first step of Adam has the length of the learning rate, wherever it goes
        lengths = torch.cat([(now[key] - before[name][key]).flatten().abs() for key in now])
        assert lengths.median().item() == pytest.approx(rate, rel=1e-3)


def test_a_learning_rate_of_zero_holds_a_network_still():
    trainer = AdversarialTrainer(toy_recipe(generator_lr=0.0))
    before = parameters_of(trainer.generator)
    list(trainer.steps())
    assert moved(before, trainer.generator) == set()


def test_schedules_reach_the_optimisers_before_each_step():
    recipe = toy_recipe(
        steps=5,
        generator_lr=Schedule(0.4, 0.0, shape="linear"),
        beta1=Schedule(0.0, 0.8, shape="linear"),
        beta2=0.95,
    )
    trainer = AdversarialTrainer(recipe)
    found = []
    for _ in trainer.steps():
        (group,) = trainer.optimizers["generator"].param_groups
        found.append((round(group["lr"], 6), tuple(round(beta, 6) for beta in group["betas"])))
    assert found == [
        (0.4, (0.0, 0.95)),
        (0.3, (0.2, 0.95)),
        (0.2, (0.4, 0.95)),
        (0.1, (0.6, 0.95)),
        (0.0, (0.8, 0.95)),
    ]


def test_the_burn_in_has_the_published_numbers_in_each_step_and_in_its_log(monkeypatch):
    recipe = toy_recipe(
        burn_in=0.2,
        steps=11,  # progress 0, .1, .2, ... 1
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        penalties={"r1": 1.0, "r2": 2.0},
        beta2=0.99,
        ema_halflife_samples=500,
    )
    trainer = AdversarialTrainer(recipe)
    watched = Watched(trainer)
    halflives: list[float] = []
    monkeypatch.setattr(trainer.ema, "update", lambda *asked: halflives.append(asked[2]))
    groups, logged = [], []
    for step in trainer.steps():
        logged.append(step.values)
        adams = [trainer.optimizers[name].param_groups[0] for name in sorted(trainer.optimizers)]
        assert adams[0]["lr"] == adams[1]["lr"]
        groups.append((adams[0]["lr"], *adams[0]["betas"]))
    gammas = [asked[3] for asked in watched.asked("discriminator")]
    for number, expected in {
        0: (2e-4, 0.9, 1.0, 0),
        1: (1.25e-4, 0.945, 0.55, 250),
        2: (5e-5, 0.99, 0.1, 500),
        10: (5e-5, 0.99, 0.1, 500),
    }.items():
        lr, beta2, gamma, halflife = expected
        assert groups[number] == pytest.approx((lr, 0.0, beta2))
        assert gammas[number] == pytest.approx({"r1": gamma, "r2": 2 * gamma})
        assert halflives[number] == pytest.approx(halflife)
        for key, value in {
            "lr/generator": lr,
            "lr/discriminator": lr,
            "gamma/r1": gamma,
            "gamma/r2": 2 * gamma,
            "adam/beta1": 0.0,
            "adam/beta2": beta2,
            "ema/halflife_samples": halflife,
        }.items():
            assert logged[number][key] == pytest.approx(value), key


def test_a_shorter_run_can_keep_the_schedules_of_a_longer_one():
    recipe = toy_recipe(steps=2, generator_lr=Schedule(1.0, 0.0, shape="linear"))
    trainer = AdversarialTrainer(recipe, schedule_steps=5)
    assert [step.values["lr/generator"] for step in trainer.steps()] == [1.0, 0.75]


def test_anneal_is_told_the_progress_and_its_values_are_reported():
    class Annealed(ToyGenerator):
        def anneal(self, progress: float) -> dict[str, float]:
            return {"temperature": 1 - progress}

    trainer = AdversarialTrainer(toy_recipe(steps=3, generator=Annealed()))
    assert [step.values["temperature"] for step in trainer.steps()] == [1.0, 0.5, 0.0]
