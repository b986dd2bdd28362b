"""A training step and a batch of samples stay on their device, and read no value from it.

They run on torch's "meta" device, whose tensors have shapes and no values. A tensor that was left
on the CPU, and a value that is read (`.item()`, `.tolist()`, a boolean mask as an index), raise
there. On a GPU each such read waits for all work that was queued.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.fx.experimental import _config as symbolic

from multigan.core.modules import sample_batch
from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.engine.gradient_penalties import PENALTIES
from multigan.engine.losses import LOSSES
from multigan.engine.optimization import Autocast
from multigan.engine.trainer import AdversarialTrainer
from multigan.image.augmentation.pipelines import build_augment
from multigan.music.models.autoregressive import SampledPitches
from tests.run_helpers import DOMAINS, tiny_recipe

META = torch.device("meta")


def pitches_of_any_value(module: Any, noisy: Any, free: Tensor, *_: Any) -> SampledPitches:
    zeros = torch.zeros_like(free, dtype=torch.long)
    return SampledPitches(zeros, zeros)


def noise_of_any_value(seeds: Tensor, counts: Tensor, size: int, like: Tensor) -> Tensor:
    return torch.empty_like(like)


# What reads values of the device, with the reason, and what stands in for it here. Each is named
# in docs/concepts/training-step.md with its cost.
EXEMPTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "multigan.music.models.autoregressive.AutoregressiveVoices._sample": (
        "samples the pitches of a step from those before it, on the CPU",
        pitches_of_any_value,
    ),
    "multigan.text.models.generator.gumbel_noise": (
        "draws the noise of each line from its own seed",
        noise_of_any_value,
    ),
    "multigan.engine.likelihood_pretraining.LikelihoodPretraining.validation_nll": (
        "returns a number, once an epoch",
        lambda stage: 0.0,
    ),
}
# Domains whose steps select the positions that are not given by a boolean mask.
SELECTS_BY_MASK = {"text"}


@contextmanager
def exempted(domain: str) -> Iterator[None]:
    """Replace what has to read values, and run without autocast, which meta does not have."""
    with ExitStack() as held:
        for name, (_, stand_in) in EXEMPTIONS.items():
            held.enter_context(mock.patch(name, stand_in))
        held.enter_context(mock.patch.object(Autocast, "__call__", lambda *_: nullcontext()))
        if domain in SELECTS_BY_MASK:
            held.enter_context(mock.patch.object(symbolic, "meta_nonzero_assume_all_nonzero", True))
        yield


def recipe_of(domain: str, **changes: Any) -> Recipe:
    """A recipe whose networks are on the CPU; one that has trained stays on its device."""
    recipe = tiny_recipe_of(domain, **changes)
    return replace(
        recipe,
        generator=copy.deepcopy(recipe.generator),
        discriminator=copy.deepcopy(recipe.discriminator),
    )


tiny_recipe_of = cache(tiny_recipe)


def step_on_meta(domain: str, recipe: Recipe, steps: int = 1) -> dict[str, Any]:
    """The values of the last of some steps; all networks are on the device afterwards."""
    with exempted(domain):
        trainer = AdversarialTrainer(recipe, device=META)
        stream = trainer.steps()
        for _ in range(steps):
            values = dict(next(stream).values)
    networks = trainer.networks().values()
    tensors = [t for network in networks for t in (*network.parameters(), *network.buffers())]
    assert {tensor.device for tensor in tensors} == {META}
    assert {v.device for v in values.values() if isinstance(v, Tensor)} == {META}
    return values


def on_points_and_slowly_elsewhere(names: Iterable[str]) -> list[Any]:
    """(domain, name) of each domain and name; all but those of points are slow."""
    return [
        pytest.param(domain, name, marks=() if domain == "points" else pytest.mark.slow)
        for domain in DOMAINS
        for name in names
    ]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_step_of_each_domain_stays_on_the_device(domain):
    recipe = replace(recipe_of(domain), penalties={"r1": 1.0, "r2": 1.0}, likelihood_steps=0)
    values = step_on_meta(domain, recipe)
    assert {"loss/discriminator", "loss/generator", "penalty/r1"} <= values.keys()


@pytest.mark.parametrize(("domain", "loss"), on_points_and_slowly_elsewhere(LOSSES))
def test_a_step_of_each_loss_stays_on_the_device(domain, loss):
    recipe = replace(recipe_of(domain), loss=loss, likelihood_steps=0, discriminator_steps=2)
    values = step_on_meta(domain, recipe)
    assert {"loss/discriminator", "loss/generator"} <= values.keys()


@pytest.mark.parametrize(("domain", "penalty"), on_points_and_slowly_elsewhere(PENALTIES))
def test_a_step_with_each_penalty_stays_on_the_device(domain, penalty):
    recipe = replace(recipe_of(domain), penalties={penalty: 1.0}, likelihood_steps=0)
    assert f"penalty/{penalty}" in step_on_meta(domain, recipe)


def test_the_likelihood_stage_stays_on_the_device():
    values = step_on_meta("text", replace(recipe_of("text"), likelihood_steps=2), steps=3)
    assert "loss/generator" in values


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["reinforce", "straight_through", "soft"])
@pytest.mark.parametrize("discriminator", ["cnn", "relgan", "token", "sequence"])
def test_every_text_gan_stays_on_the_device(estimator, discriminator):
    recipe = recipe_of("text", estimator=estimator, discriminator=discriminator)
    step_on_meta("text", replace(recipe, likelihood_steps=0))


@pytest.mark.parametrize("augment", ["diffaugment", "scheduled", "ada"])
def test_every_augmentation_stays_on_the_device(augment):
    recipe = replace(recipe_of("image"), augment=build_augment(augment, 0.5), loss="hinge")
    step_on_meta("image", recipe)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_batch_of_samples_is_drawn_on_the_device(domain):
    recipe = tiny_recipe(domain)  # afresh: a dataset in memory stays on its last device
    generator = recipe.generator.to(META)
    condition = recipe.data.batch(torch.arange(1), keyed_rng(0)).condition
    condition = tree_map(lambda leaf: torch.cat([leaf, leaf]), condition)
    to_cpu = mock.patch.object(Tensor, "cpu", lambda x: x)  # of the samples, at the end
    with exempted(domain), to_cpu:
        x = sample_batch(generator, 2, keyed_rng(0), tree_map(lambda t: t.to(META), condition))
    assert x.device == META and len(x) == 2


def test_a_tensor_on_the_cpu_and_a_value_that_is_read_are_found():
    class OnTheCpu(torch.nn.Module):
        def __init__(self, body: Any) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return self.body(x) + torch.ones(len(x))

    class Reads(OnTheCpu):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return self.body(x) * float(x.detach().mean())

    for kind, message in ((OnTheCpu, "device"), (Reads, "meta")):
        recipe = tiny_recipe("points")  # each on the CPU, where its networks are tried
        network = kind(recipe.discriminator)
        with pytest.raises(RuntimeError, match=message):
            step_on_meta("points", replace(recipe, discriminator=network, penalties={}))
