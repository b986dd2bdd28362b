"""The training loop: who moves when, by how much, and continuing as if nothing had happened."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.engine.losses import LOSSES
from multigan.engine.trainer import AdversarialTrainer, Step
from multigan.recipe import Recipe, Schedule
from tests.toys import (
    CLASSES,
    LinearDiscriminator,
    ToyData,
    ToyDiscriminator,
    ToyGenerator,
    draw_weights,
    record_gradients,
    toy_recipe,
)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.named_parameters()}


def moved(before: dict[str, Tensor], network: nn.Module) -> set[str]:
    after = network.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def gradients_of(recipe: Recipe, steps: int = 1) -> dict[str, list[dict[str, Tensor]]]:
    """The gradients of the first updates of both networks, which stand still meanwhile."""
    trainer = AdversarialTrainer(recipe)
    recorded = record_gradients(trainer)
    list(itertools.islice(trainer.steps(), steps))
    return {name: recorder.gradients for name, recorder in recorded.items()}


class Watched:
    """An Objective that keeps what it is asked and, before each call, shows the trainer."""

    def __init__(self, trainer: AdversarialTrainer, look: Any = lambda: None) -> None:
        self.inner, self.look = trainer.objective, look
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        trainer.objective = self  # type: ignore[assignment]

    def of_discriminator(self, *asked: Any) -> dict[str, Tensor]:
        self.calls.append(("discriminator", asked))
        self.look()
        return self.inner.of_discriminator(*asked)

    def of_generator(self, *asked: Any) -> dict[str, Tensor]:
        self.calls.append(("generator", asked))
        self.look()
        return self.inner.of_generator(*asked)

    def asked(self, phase: str) -> list[tuple[Any, ...]]:
        return [asked for name, asked in self.calls if name == phase]


# hygiene


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_every_parameter_that_it_can(loss):
    trainer = AdversarialTrainer(toy_recipe(loss=loss, penalties={"wgan_gp": 0.1}))
    before = {name: parameters_of(network) for name, network in trainer.networks().items()}
    for step in trainer.steps():
        assert all(torch.isfinite(torch.as_tensor(value)) for value in step.values.values())
    # a bias before batch norm, or behind which only differences count, has no gradient
    for name, idle in (("generator", "body.0.bias"), ("discriminator", "head.bias")):
        assert moved(before[name], trainer.networks()[name]) >= set(before[name]) - {idle}


def test_a_step_names_its_losses_logits_penalties_and_rates():
    step = next(AdversarialTrainer(toy_recipe(penalties={"r1": 1.0}, clip_norm=1.0)).steps())
    assert set(step.values) == {
        *("loss/discriminator", "loss/generator", "penalty/r1"),
        *("logit/real", "logit/fake", "logit/gap", "lr/discriminator", "lr/generator"),
        *("gradient_norm/discriminator", "gradient_norm/generator"),
    }
    gap = step.values["logit/real"] - step.values["logit/fake"]
    assert torch.equal(step.values["logit/gap"], gap)
    assert not any(isinstance(v, Tensor) and v.requires_grad for v in step.values.values())


def test_no_gradient_is_left_when_the_other_network_moves():
    trainer = AdversarialTrainer(toy_recipe(penalties={"r1": 1.0}, loss="relativistic"))
    networks = (trainer.generator, trainer.discriminator)

    def look() -> None:
        assert all(p.grad is None for network in networks for p in network.parameters())

    watched = Watched(trainer, look)
    for _ in trainer.steps():
        look()
    assert len(watched.calls) == 8


def test_each_network_moves_in_its_own_phase_only():
    recipe = toy_recipe(discriminator_steps=2, penalties={"r1": 1.0}, loss="relativistic")
    trainer = AdversarialTrainer(recipe)
    before: dict[str, dict[str, Tensor]] = {}
    changes: list[set[str]] = []

    networks = {"generator": trainer.generator, "discriminator": trainer.discriminator}

    def look() -> None:
        if before:
            changes.append({name for name in networks if moved(before[name], networks[name])})
        before.update({name: parameters_of(network) for name, network in networks.items()})

    watched = Watched(trainer, look)
    list(trainer.steps())
    look()
    assert [name for name, _ in watched.calls[:3]] == ["discriminator"] * 2 + ["generator"]
    assert changes == [{"discriminator"}, {"discriminator"}, {"generator"}] * 4


def test_the_fakes_of_the_discriminator_carry_no_graph_of_the_generator():
    trainer = AdversarialTrainer(toy_recipe())
    watched = Watched(trainer)
    next(trainer.steps())
    assert not watched.asked("discriminator")[0][1].requires_grad
    assert watched.asked("generator")[0][1].grad_fn is not None


def test_the_generator_has_a_real_batch_and_latents_of_its_own():
    trainer = AdversarialTrainer(toy_recipe(discriminator_steps=2, loss="relativistic"))
    watched = Watched(trainer)
    list(trainer.steps())
    for place in (0, 1):  # reals, fakes
        batches = [asked[place].detach() for _, asked in watched.calls]
        assert not any(torch.equal(a, b) for k, a in enumerate(batches) for b in batches[k + 1 :])
    order = torch.cat([asked[0] for _, asked in watched.calls])  # 96 reals of a set of 20
    for epoch in range(4):
        part = order[20 * epoch : 20 * (epoch + 1)]
        assert len(part.unique(dim=0)) == 20


def test_frozen_parameters_of_the_user_never_move():
    generator, discriminator = ToyGenerator(), ToyDiscriminator()
    generator.body[0].requires_grad_(False)
    discriminator.head.requires_grad_(False)
    recipe = toy_recipe(generator=generator, discriminator=discriminator, penalties={"r1": 1.0})
    before = parameters_of(generator), parameters_of(discriminator)
    trainer = AdversarialTrainer(recipe)
    list(trainer.steps())
    assert moved(before[0], generator) == {n for n in before[0] if not n.startswith("body.0")}
    assert moved(before[1], discriminator) == {n for n in before[1] if n.startswith("body")}
    assert not any(p.requires_grad for p in discriminator.head.parameters())


def test_training_draws_nothing_from_the_global_stream():
    recipe = toy_recipe(
        data=ToyData(in_memory=False, draws=True), penalties={"wgan_gp": 1.0, "dragan": 1.0}
    )
    before = torch.get_rng_state()
    list(AdversarialTrainer(recipe).steps())
    assert torch.equal(before, torch.get_rng_state())


def test_fakes_are_made_with_the_labels_of_the_reals_they_are_paired_with():
    class Tell(ToyGenerator):
        def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
            shown = condition[:, None].expand(-1, 2).float()
            return shown + 0 * super().forward(latent, condition)

    trainer = AdversarialTrainer(
        toy_recipe(labelled=True, generator=Tell(labelled=True), accumulate=2, loss="relativistic")
    )
    watched = Watched(trainer)
    list(trainer.steps())
    data = trainer.recipe.data
    for _, (real, fake, labels, *_rest) in watched.calls:
        assert torch.equal(fake.detach(), labels[:, None].expand(-1, 2).float())
        index = (real[:, None] == data.points[None]).all(2).float().argmax(1)
        assert torch.equal(labels, data.batch(index).condition)
    assert len(watched.calls) == 16 and len({tuple(a[2].tolist()) for _, a in watched.calls}) > 2


# accumulation, clipping, rates


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


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_micro_batches_add_up_to_the_gradients_of_one_batch(accumulate):
    def gradients(accumulate: int) -> dict[str, list[dict[str, Tensor]]]:
        recipe = toy_recipe(
            labelled=True,
            generator=FromLabels(),
            accumulate=accumulate,
            loss="relativistic",
            penalties={"r1": 0.5, "r2": 0.5},
        )
        return gradients_of(recipe, steps=2)

    whole = gradients(1)
    assert whole["generator"][0]["points.weight"].abs().max() > 1e-2
    assert whole["discriminator"][0]["body.0.weight"].abs().max() > 1e-2
    torch.testing.assert_close(gradients(accumulate), whole, rtol=1e-4, atol=1e-6)


def test_reported_values_do_not_depend_on_micro_batches():
    for accumulate in (1, 4):
        recipe = toy_recipe(accumulate=accumulate, discriminator=LinearDiscriminator(torch.ones(2)))
        trainer = AdversarialTrainer(recipe)
        record_gradients(trainer)
        real = torch.stack([step.values["logit/real"] for step in trainer.steps()])
        if accumulate == 1:
            whole = real
    torch.testing.assert_close(real, whole)


def test_clipping_bounds_the_gradient_and_reports_its_length_before():
    free, tight = gradients_of(toy_recipe()), gradients_of(toy_recipe(clip_norm=1e-3))
    for name in ("generator", "discriminator"):
        length = {
            key: torch.cat([g.flatten() for g in found[name][0].values()]).norm().item()
            for key, found in (("free", free), ("tight", tight))
        }
        assert length["tight"] == pytest.approx(1e-3, rel=1e-2) and length["free"] > 2e-3
        ratio = 1e-3 / length["free"]
        for key, gradient in free[name][0].items():
            torch.testing.assert_close(tight[name][0][key], ratio * gradient, rtol=1e-2, atol=1e-8)
    step = next(AdversarialTrainer(toy_recipe(clip_norm=1e-3)).steps())
    assert step.values["gradient_norm/generator"] > 2e-3


def test_a_wide_clip_changes_nothing():
    torch.testing.assert_close(gradients_of(toy_recipe(clip_norm=1e6)), gradients_of(toy_recipe()))


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


def test_the_relativistic_burn_in_has_the_published_numbers(monkeypatch):
    recipe = toy_recipe(
        loss="relativistic",
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
    groups = []
    for _ in trainer.steps():
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


def test_a_shorter_run_can_keep_the_horizon_of_a_longer_one():
    recipe = toy_recipe(steps=2, generator_lr=Schedule(1.0, 0.0, shape="linear"))
    trainer = AdversarialTrainer(recipe, horizon=5)
    assert [step.values["lr/generator"] for step in trainer.steps()] == [1.0, 0.75]


def test_anneal_is_told_the_progress_and_its_values_are_reported():
    class Annealed(ToyGenerator):
        def anneal(self, progress: float) -> dict[str, float]:
            return {"temperature": 1 - progress}

    trainer = AdversarialTrainer(toy_recipe(steps=3, generator=Annealed()))
    assert [step.values["temperature"] for step in trainer.steps()] == [1.0, 0.5, 0.0]


# counting


def test_samples_seen_counts_the_reals_of_the_discriminators_updates():
    trainer = AdversarialTrainer(toy_recipe(discriminator_steps=3, accumulate=2))
    steps = list(trainer.steps())
    assert [(step.number, step.samples_seen) for step in steps] == [
        *((1, 24), (2, 48), (3, 72), (4, 96)),
    ]
    assert trainer.epochs == 4 * 4 * 8 / 20  # four batches a step of 8 out of 20
    assert list(trainer.steps()) == []


def test_the_discriminator_moves_as_often_as_it_is_told():
    found = gradients_of(toy_recipe(discriminator_steps=3), steps=4)
    assert len(found["discriminator"]) == 12 and len(found["generator"]) == 4
    distinct = {g["body.0.weight"].sum().item() for g in found["discriminator"]}
    assert len(distinct) == 12


def test_values_are_averaged_over_the_discriminators_updates():
    recipe = toy_recipe(
        discriminator=LinearDiscriminator(torch.ones(2)),
        discriminator_steps=2,
        penalties={"r1": 1.0},
        penalty_every=2,
    )
    trainer = AdversarialTrainer(recipe)
    record_gradients(trainer)
    watched = Watched(trainer)
    step = next(trainer.steps())
    reals = torch.cat([asked[0] for asked in watched.asked("discriminator")])
    assert step.values["logit/real"].item() == pytest.approx(reals.sum(1).mean().item() + 0.3)
    assert step.values["penalty/r1"].item() == pytest.approx(1.0)  # |a|^2 / 2, not halved again


def test_lazy_penalties_are_due_at_every_kth_update_and_k_times_as_strong():
    recipe = toy_recipe(penalties={"r1": 0.5}, penalty_every=3, discriminator_steps=2)
    trainer = AdversarialTrainer(recipe)
    watched = Watched(trainer)
    list(trainer.steps())
    gammas = [asked[3] for asked in watched.asked("discriminator")]
    assert gammas == [{"r1": 1.5}, {}, {}, {"r1": 1.5}, {}, {}, {"r1": 1.5}, {}]


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
        penalties={"r1": 0.1, "wgan_gp": Schedule(0.2, 0.1)},
        penalty_every=2,
        discriminator_steps=3,
        accumulate=2,
        clip_norm=0.5,
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
    first = list(itertools.islice(trainer.steps(), 3))
    saved = snapshot(trainer)
    rest = list(trainer.steps())
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
        discriminator=Spy(), penalties={"r1": 1.0}, penalty_every=2, discriminator_steps=2
    )
    trainer = AdversarialTrainer(recipe, precision="bf16")
    step = next(trainer.steps())
    assert dtypes == [torch.float32, torch.bfloat16, torch.bfloat16]  # with penalty, without, G's
    assert step.values["loss/generator"].dtype == torch.float32
    for network in trainer.networks().values():
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


# refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0; wanted 1 or more"),
        ({"batch_size": 0}, "batch_size is 0; wanted"),
        ({"discriminator_steps": 0}, "discriminator_steps is 0; wanted"),
        ({"penalty_every": 0}, "penalty_every is 0; wanted"),
        ({"accumulate": 0}, "accumulate is 0; wanted"),
        ({"accumulate": 3}, "batch_size 8 cannot be cut into 3 equal micro-batches"),
        ({"generator_lr": -1e-3}, "generator_lr is -0.001; wanted a finite number"),
        ({"discriminator_lr": float("nan")}, "discriminator_lr is nan; wanted"),
        ({"discriminator_lr": Schedule(1e-3, float("inf"))}, "discriminator_lr is Schedule"),
        ({"generator_lr": Schedule(1e-3, 0.0, shape="exponential")}, "generator_lr: an exponent"),
        ({"generator_lr": Schedule(1e-3, 0.0, shape="square")}, "generator_lr: shape 'square' is"),
        ({"beta1": -0.1}, "beta1 is -0.1; wanted"),
        ({"beta1": 1.0}, "beta1 is 1.0; wanted"),
        ({"beta2": Schedule(0.9, 1.0)}, "beta2 is Schedule"),
        ({"ema_halflife_samples": -1}, "ema_halflife_samples is -1; wanted"),
        ({"penalties": {"r1": -1.0}}, "gamma of r1 is -1.0; wanted"),
        ({"penalties": {"r9": 1.0}}, "penalty 'r9' is unknown; known: r1"),
        ({"loss": "hing"}, "loss 'hing' is unknown; known: nonsat"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0; wanted"),
        ({"clip_norm": float("nan")}, "clip_norm is nan; wanted"),
        ({"burn_in": 1.5}, "burn_in is 1.5; wanted"),
        ({"burn_in": -0.1}, "burn_in is -0.1; wanted"),
    ],
    ids=str,
)
def test_bad_numbers_are_refused_in_one_line(changes, message):
    with pytest.raises(ValueError) as refusal:
        AdversarialTrainer(toy_recipe(**changes))
    assert str(refusal.value).startswith(message) and "\n" not in str(refusal.value)


def test_an_unknown_precision_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'fp64' is unknown; known: fp32, bf16"):
        AdversarialTrainer(toy_recipe(), precision="fp64")


def test_draws_do_not_meet_between_phases_updates_micro_batches_and_steps():
    class Noted(ToyGenerator):
        drawn: tuple[float, ...] = ()

        def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
            z = super().sample_latent(n, rng)
            self.drawn = (*self.drawn, *z.flatten().tolist())
            return z

    recipe = toy_recipe(generator=Noted(), accumulate=2, discriminator_steps=2)
    trainer = AdversarialTrainer(recipe)
    list(trainer.steps())
    assert len(trainer.generator.drawn) == 4 * 3 * 8 * 3  # steps, updates, batch, latent
    assert len(set(trainer.generator.drawn)) == len(trainer.generator.drawn)
