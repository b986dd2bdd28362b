"""Training again, from a state or from the seed, gives the same bits."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from multigan.core.recipe import AutoGamma, Recipe, Schedule
from multigan.engine.trainer import AdversarialTrainer, Step
from tests.progress_capture import moved, parameters_of, weights_of
from tests.toy_domain import ToyData, ToyDiscriminator, ToyGenerator, toy_recipe

# exactly the same again


def hard_recipe(seed: int) -> Recipe:
    """Everything with a state of its own at once; `seed` is of the initial weights."""

    class Annealed(ToyGenerator):
        def __init__(self) -> None:
            super().__init__(seed, labelled=True)
            self.register_buffer("temperature", torch.zeros(()))

        def anneal(self, progress: float) -> dict[str, float]:
            self.temperature.fill_(1 + progress)
            return {"temperature": 1 + progress}

        def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
            return self.temperature * super().forward(latent, condition)

    def jitter(x: Tensor, condition: Any, rng: torch.Generator) -> tuple[Tensor, Any]:
        return x + 0.1 * torch.randn(x.shape, generator=rng), condition

    return toy_recipe(
        data=ToyData(5, labelled=True, draws=True),  # smaller than a batch
        generator=Annealed(),
        discriminator=ToyDiscriminator(seed, labelled=True, dropout=0.3),
        steps=6,
        loss="relativistic_average",
        penalties={"r1": 0.1, "r2": AutoGamma(), "wgan_gp": Schedule(0.2, 0.1)},
        penalty_interval=2,
        discriminator_steps=3,
        gradient_accumulation_steps=2,
        max_grad_norm=0.5,
        burn_in=0.7,
        ema_halflife_samples=20,
        augment=jitter,
    )


def snapshot(trainer: AdversarialTrainer) -> bytes:
    file = io.BytesIO()
    networks = {name: network.state_dict() for name, network in trainer.networks().items()}
    torch.save({"trainer": trainer.state(), "networks": networks}, file)
    return file.getvalue()


@pytest.fixture
def _global_stream():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield


@pytest.mark.usefixtures("_global_stream")
def test_a_restored_trainer_continues_bit_by_bit():
    trainer = AdversarialTrainer(hard_recipe(seed=0), seed=5)
    steps = trainer.steps()
    first = list(itertools.islice(steps, 3))
    saved = snapshot(trainer)
    rest = list(steps)  # of one uninterrupted iteration
    expected = {name: weights_of(network) for name, network in trainer.networks().items()}

    torch.manual_seed(99)
    twin = AdversarialTrainer(hard_recipe(seed=1), seed=5)
    loaded = torch.load(io.BytesIO(saved), weights_only=True)
    for name, network in twin.networks().items():
        network.load_state_dict(loaded["networks"][name])
    twin.restore(loaded["trainer"])
    again = list(twin.steps())

    assert [step.number for step in first + rest] == [1, 2, 3, 4, 5, 6]
    assert_same_steps(again, rest)
    for name, network in twin.networks().items():
        assert moved(expected[name], network) == set()
    for name, adam in twin.optimizers.items():
        ours, theirs = adam.state_dict()["state"], trainer.optimizers[name].state_dict()["state"]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def assert_same_steps(found: list[Step], expected: list[Step]) -> None:
    assert [step.number for step in found] == [step.number for step in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.samples_seen == theirs.samples_seen and set(ours.values) == set(theirs.values)
        for name, value in ours.values.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(theirs.values[name])), name


@pytest.mark.usefixtures("_global_stream")
def test_a_run_depends_on_its_seed_and_on_nothing_else():
    def run(seed: int) -> list[Step]:
        return list(AdversarialTrainer(toy_recipe(), seed=seed).steps())

    first = run(0)
    torch.rand(7)
    assert_same_steps(run(0), first)
    assert not torch.equal(run(1)[-1].values["loss/generator"], first[-1].values["loss/generator"])


def test_the_state_can_be_loaded_without_running_code():
    trainer = AdversarialTrainer(toy_recipe())
    list(trainer.steps())
    file = io.BytesIO()
    torch.save(trainer.state(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state["number"] == 4 and set(state["optimizers"]) == {"generator", "discriminator"}


def test_the_moving_average_starts_at_the_generator_and_follows_it():
    trainer = AdversarialTrainer(toy_recipe(ema_halflife_samples=Schedule(0.0, 1e9, 0.5)))
    start = weights_of(trainer.generator)
    assert moved(start, trainer.ema.module) == set()
    steps = trainer.steps()
    next(steps)
    assert moved(weights_of(trainer.generator), trainer.ema.module) == set()
    held = parameters_of(trainer.ema.module)
    list(steps)
    assert moved(held, trainer.ema.module) and moved(held, trainer.generator)
    assert moved(parameters_of(trainer.generator), trainer.ema.module)


def test_the_moving_average_counts_the_reals_of_the_discriminators_updates(monkeypatch):
    trainer = AdversarialTrainer(toy_recipe(discriminator_steps=3, ema_halflife_samples=77))
    asked: list[tuple[float, ...]] = []
    monkeypatch.setattr(trainer.ema, "update", lambda *numbers: asked.append(numbers))
    list(trainer.steps())
    assert asked == [(24, 24, 77), (24, 48, 77), (24, 72, 77), (24, 96, 77)]


# precision


@pytest.mark.filterwarnings("ignore:.*bfloat16.*:UserWarning")
def test_bf16_keeps_the_weights_and_the_penalties_in_float32():
    dtypes = []

    class Spy(ToyDiscriminator):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            logits = super().forward(x, condition)
            dtypes.append(logits.dtype)
            return logits

    recipe = toy_recipe(
        discriminator=Spy(), penalties={"r1": 1.0}, penalty_interval=2, discriminator_steps=2
    )
    trainer = AdversarialTrainer(recipe, precision="bf16")
    step = next(trainer.steps())
    assert dtypes == [torch.float32, torch.bfloat16, torch.bfloat16]  # with penalty, without, G's
    assert step.values["loss/generator"].dtype == torch.float32
    for network in trainer.networks().values():
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
