"""Fakes generated in one pass for all discriminator updates equal those of a pass each."""

import torch
from torch import nn

from multigan.core.protocols import Batch
from multigan.engine.batches import FakeBatches, StepRandomness, phase_name
from multigan.engine.distributed import SINGLE_PROCESS
from tests.toy_domain import ToyGenerator, toy_recipe

SIZES = (4, 4, 3)


class Independent(nn.Module):
    """A generator without batch norm that counts its passes."""

    is_batch_independent = True

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0
        self.scale = nn.Parameter(torch.ones(()))

    def sample_latent(self, n, rng):
        return torch.randn(n, 3, generator=rng), torch.rand(n, generator=rng)

    def forward(self, latent, condition=None):
        self.passes += 1
        return self.scale * latent[0] * latent[1][:, None] + condition[:, None]


def randomness(seed):
    return StepRandomness(seed, torch.device("cpu"), SINGLE_PROCESS)


def reals():
    return [Batch(torch.zeros(n, 3), 10.0 * k + torch.arange(n)) for k, n in enumerate(SIZES)]


def test_one_pass_makes_the_fakes_of_every_update_with_their_conditions():
    g = Independent()
    fakes = FakeBatches(g, toy_recipe(discriminator_steps=3), randomness(7))
    found = fakes.pregenerate(reals(), step=5)
    assert g.passes == 1 and [len(part) for part in found] == list(SIZES)
    for update, (real, part) in enumerate(zip(reals(), found, strict=True)):
        alone = fakes.sample(len(real.x), real.condition, 5, phase_name(update), 0)
        torch.testing.assert_close(part, alone)


def test_nothing_is_pregenerated_where_samples_interact_or_batches_are_split():
    several = toy_recipe(discriminator_steps=3)
    cut = toy_recipe(discriminator_steps=3, gradient_accumulation_steps=2)
    for g, recipe in (
        (ToyGenerator(), several),
        (Independent(), cut),
        (Independent(), toy_recipe()),
    ):
        assert list(FakeBatches(g, recipe, randomness(0)).pregenerate(reals(), 0)) == [None] * 3
