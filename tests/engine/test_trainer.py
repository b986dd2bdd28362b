"""The training loop: who moves when, on what, and how often."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from multigan.core.recipe import Schedule
from multigan.engine.losses import LOSSES
from multigan.engine.trainer import AdversarialTrainer
from tests.progress_capture import Watched, gradients_of, moved, parameters_of
from tests.toy_domain import (
    LinearDiscriminator,
    ToyData,
    ToyDiscriminator,
    ToyGenerator,
    record_gradients,
    toy_recipe,
)

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
    step = next(AdversarialTrainer(toy_recipe(penalties={"r1": 1.0}, max_grad_norm=1.0)).steps())
    assert set(step.values) == {
        *("loss/discriminator", "loss/discriminator_adversarial", "loss/generator", "penalty/r1"),
        *("logits/real", "logits/fake", "logits/gap", "lr/discriminator", "lr/generator"),
        *("grad_norm/discriminator", "grad_norm/generator", "gamma/r1"),
        *("adam/beta1", "adam/beta2", "ema/halflife_samples"),
    }
    gap = step.values["logits/real"] - step.values["logits/fake"]
    assert torch.equal(step.values["logits/gap"], gap)
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


@pytest.mark.parametrize("in_memory", [True, False])
def test_statistics_of_the_averaged_generator_change_nothing_in_training(in_memory):
    def train(update: bool) -> AdversarialTrainer:
        data = ToyData(in_memory=in_memory, draws=not in_memory, labelled=True)
        trainer = AdversarialTrainer(toy_recipe(data=data, labelled=True))
        for _ in trainer.steps():
            if update:
                trainer.update_ema_statistics()
        return trainer

    plain, updated = train(False), train(True)
    for name in ("generator", "discriminator"):
        pairs = zip(
            plain.networks()[name].state_dict().values(),
            updated.networks()[name].state_dict().values(),
            strict=True,
        )
        assert all(torch.equal(a, b) for a, b in pairs)
    norms = [trainer.ema.module.body[1] for trainer in (plain, updated)]
    assert not torch.equal(norms[0].running_mean, norms[1].running_mean)
    updated.update_ema_statistics()  # a function of the seed and the step
    again = updated.ema.module.body[1].running_mean
    torch.testing.assert_close(again, norms[1].running_mean, rtol=0, atol=0)


def test_fakes_are_made_with_the_labels_of_the_reals_they_are_paired_with():
    class Tell(ToyGenerator):
        def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
            shown = condition[:, None].expand(-1, 2).float()
            return shown + 0 * super().forward(latent, condition)

    trainer = AdversarialTrainer(
        toy_recipe(
            labelled=True,
            generator=Tell(labelled=True),
            gradient_accumulation_steps=2,
            loss="relativistic",
        )
    )
    watched = Watched(trainer)
    list(trainer.steps())
    data = trainer.recipe.data
    for _, (real, fake, labels, *_rest) in watched.calls:
        assert torch.equal(fake.detach(), labels[:, None].expand(-1, 2).float())
        index = (real[:, None] == data.points[None]).all(2).float().argmax(1)
        assert torch.equal(labels, data.batch(index).condition)
    assert len(watched.calls) == 16 and len({tuple(a[2].tolist()) for _, a in watched.calls}) > 2


# counting


def test_samples_seen_counts_the_reals_of_the_discriminators_updates():
    trainer = AdversarialTrainer(toy_recipe(discriminator_steps=3, gradient_accumulation_steps=2))
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
        penalty_interval=2,
    )
    trainer = AdversarialTrainer(recipe)
    record_gradients(trainer)
    watched = Watched(trainer)
    step = next(trainer.steps())
    reals = torch.cat([asked[0] for asked in watched.asked("discriminator")])
    assert step.values["logits/real"].item() == pytest.approx(reals.sum(1).mean().item() + 0.3)
    assert step.values["penalty/r1"].item() == pytest.approx(1.0)  # |a|^2 / 2, not halved again


def test_lazy_penalties_are_due_at_every_kth_update_and_k_times_as_strong():
    recipe = toy_recipe(penalties={"r1": 0.5}, penalty_interval=3, discriminator_steps=2)
    trainer = AdversarialTrainer(recipe)
    watched = Watched(trainer)
    list(trainer.steps())
    gammas = [asked[3] for asked in watched.asked("discriminator")]
    assert gammas == [{"r1": 1.5}, {}, {}, {"r1": 1.5}, {}, {}, {"r1": 1.5}, {}]


# refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be 1 or more"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"discriminator_steps": 0}, "discriminator_steps must be"),
        ({"penalty_interval": 0}, "penalty_interval must be"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be"),
        (
            {"gradient_accumulation_steps": 3},
            "batch_size must be a multiple of gradient_accumulation_steps 3; got 8",
        ),
        ({"generator_lr": -1e-3}, "generator_lr must be a finite number"),
        ({"discriminator_lr": float("nan")}, "discriminator_lr must be"),
        ({"discriminator_lr": Schedule(1e-3, float("inf"))}, "discriminator_lr must be"),
        (
            {"generator_lr": Schedule(1e-3, 0.0, shape="exponential")},
            "exponential generator_lr must not",
        ),
        ({"generator_lr": Schedule(1e-3, 0.0, shape="square")}, "shape of generator_lr must be"),
        ({"beta1": -0.1}, "beta1 must be"),
        ({"beta1": 1.0}, "beta1 must be"),
        ({"beta2": Schedule(0.9, 1.0)}, "beta2 must be"),
        ({"ema_halflife_samples": -1}, "ema_halflife_samples must be"),
        ({"penalties": {"r1": -1.0}}, "gamma of r1 must be"),
        ({"penalties": {"r9": 1.0}}, "penalty must be one of r1"),
        ({"loss": "hing"}, "loss must be one of nonsat"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be"),
        ({"max_grad_norm": float("nan")}, "max_grad_norm must be"),
        ({"burn_in": 1.5}, "burn_in must be"),
        ({"burn_in": -0.1}, "burn_in must be"),
    ],
    ids=str,
)
def test_bad_numbers_are_refused_in_one_line(changes, message):
    with pytest.raises(ValueError) as refusal:
        AdversarialTrainer(toy_recipe(**changes))
    assert str(refusal.value).startswith(message) and "\n" not in str(refusal.value)


def test_an_unknown_precision_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16; got 'fp64'"):
        AdversarialTrainer(toy_recipe(), precision="fp64")


def test_draws_do_not_meet_between_phases_updates_micro_batches_and_steps():
    class Noted(ToyGenerator):
        drawn: tuple[float, ...] = ()

        def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
            z = super().sample_latent(n, rng)
            self.drawn = (*self.drawn, *z.flatten().tolist())
            return z

    recipe = toy_recipe(generator=Noted(), gradient_accumulation_steps=2, discriminator_steps=2)
    trainer = AdversarialTrainer(recipe)
    list(trainer.steps())
    assert len(trainer.generator.drawn) == 4 * 3 * 8 * 3  # steps, updates, batch, latent
    assert len(set(trainer.generator.drawn)) == len(trainer.generator.drawn)
