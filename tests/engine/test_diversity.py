"""Diversity of a batch of samples is measured in distances, without a trace."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from multigan.engine.diversity import diversity_metrics
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import ToyDiscriminator, toy_recipe


class AsItIs(torch.nn.Module):
    """A discriminator without features."""


def test_variety_is_measured_in_distances_between_samples():
    real, fake = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0], [1.0, 2.0]])
    seen = diversity_metrics(AsItIs(), real, fake, None)
    expected = {
        "diversity/real": 5 / 2.5,
        "diversity/fake": 1 / 5,
        "near_duplicates/real": 0,
        "near_duplicates/fake": 0,
    }
    assert {name: float(value) for name, value in seen.items()} == pytest.approx(expected)
    same = diversity_metrics(AsItIs(), real, fake[[0, 0]], None)
    assert (float(same["diversity/fake"]), float(same["near_duplicates/fake"])) == (0.0, 1.0)
    assert diversity_metrics(AsItIs(), real[:1], fake[:1], None) == {}


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_of_equal_reals_no_fake_is_said_to_be_more_or_less_varied(value):
    real, fake = torch.full((64, 7), value), torch.arange(448.0).view(64, 7)
    seen = diversity_metrics(AsItIs(), real, fake, None)
    assert seen.keys() == {"diversity/real"} and float(seen["diversity/real"]) < 1e-6


def test_looking_draws_nothing_and_changes_nothing():
    def weights(look: bool) -> list[Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            trainer = AdversarialTrainer(toy_recipe(discriminator=ToyDiscriminator(dropout=0.5)))
            for _ in trainer.steps():
                if look:
                    assert len(trainer.diversity_metrics()) == 5
            return [p.detach() for net in trainer.networks().values() for p in net.parameters()]

    assert all(map(torch.equal, weights(look=True), weights(look=False)))
    assert AdversarialTrainer(toy_recipe()).diversity_metrics() == {}  # before the first step
