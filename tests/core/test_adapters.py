"""Plain modules as networks of a recipe: checked at construction, in one sentence."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm

from multigan import ArrayDataset, Networks, Recipe
from multigan.core.adapters import ModuleDiscriminator, ModuleGenerator
from multigan.core.protocols import Discriminator, Generator
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import ToyDiscriminator, ToyGenerator, toy_recipe

X = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
LABELS = np.arange(40) % 3


def generator(latent_dim=4, out=2):
    return nn.Sequential(nn.Linear(latent_dim, 8), nn.ReLU(), nn.Linear(8, out))


def discriminator(*layers):
    return nn.Sequential(nn.Linear(2, 8), *layers, nn.LeakyReLU(), nn.Linear(8, 1))


def recipe(**changes):
    networks = {"generator": generator, "discriminator": discriminator}
    own = {name: make() for name, make in networks.items() if name not in changes}
    given = {"data": ArrayDataset(X), "latent_dim": 4, "steps": 2, "batch_size": 8}
    return Recipe(**(given | own | changes))


class Conditional(nn.Module):
    """Takes labels as a second argument."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.label, self.body = nn.Embedding(3, inputs), nn.Linear(inputs, outputs)

    def forward(self, inputs, label):
        return self.body(inputs + self.label(label))


class Deviation(nn.Module):
    """Adds the deviation within the batch, which no layer shows."""

    def forward(self, x):
        return x.sum(1) + x.std(0).sum()


def test_plain_modules_become_networks_of_the_contract():
    made = recipe()
    assert isinstance(made.generator, Generator) and isinstance(made.discriminator, Discriminator)
    assert made.generator.sample_latent(3, torch.Generator()).shape == (3, 4)
    shaped = ModuleGenerator(nn.Identity(), (4, 2, 2))
    assert shaped.sample_latent(3, torch.Generator()).shape == (3, 4, 2, 2)


def test_networks_of_the_contract_stay_as_they_are():
    g, d = ToyGenerator(), ToyDiscriminator()
    made = toy_recipe(generator=g, discriminator=d)
    assert made.generator is g and made.discriminator is d


def test_labels_reach_modules_that_take_a_second_argument():
    data = ArrayDataset(X, LABELS)
    both = recipe(data=data, generator=Conditional(4, 2), discriminator=Conditional(2, 1))
    assert both.generator.takes_condition and both.discriminator.takes_condition
    assert len(list(AdversarialTrainer(both).steps())) == 2
    with pytest.warns(UserWarning, match="^the discriminator takes no second argument in forward"):
        recipe(data=data, generator=Conditional(4, 2))
    with pytest.warns(UserWarning, match="^the generator and the discriminator take no second"):
        recipe(data=data)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(8), nn.LazyBatchNorm1d()])
def test_batch_norm_in_the_discriminator_is_found_and_refuses_penalties(layer):
    made = recipe(discriminator=discriminator(layer), penalties={"r1": 1.0})
    with pytest.raises(ValueError, match="the discriminator uses batch statistics"):
        AdversarialTrainer(made)


def test_batch_statistics_without_a_layer_are_found():
    assert recipe(discriminator=Deviation()).discriminator.uses_batch_statistics
    for layer in (nn.LayerNorm(8), nn.Dropout(0.5), nn.GroupNorm(2, 8)):
        assert not recipe(discriminator=discriminator(layer)).discriminator.uses_batch_statistics


def test_the_check_changes_neither_buffers_nor_random_streams():
    g = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
    d = discriminator()
    before, stream = copy.deepcopy(g.state_dict()), torch.random.get_rng_state()
    recipe(generator=g, discriminator=d)
    assert all(torch.equal(before[name], value) for name, value in g.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), stream) and g.training


def test_spectral_norm_of_both_kinds_trains():
    for norm in (spectral_norm, nn.utils.parametrizations.spectral_norm):
        made = recipe(discriminator=nn.Sequential(norm(nn.Linear(2, 8)), nn.Linear(8, 1)))
        assert len(list(AdversarialTrainer(made).steps())) == 2


def test_several_discriminators_score_side_by_side():
    parts = {"a": discriminator(), "b": discriminator()}
    made = recipe(discriminator=parts)
    logits = made.discriminator(torch.from_numpy(X[:3]))
    expected = torch.cat([part(torch.from_numpy(X[:3])) for part in parts.values()], dim=1)
    assert torch.equal(logits, expected) and logits.shape == (3, 2)
    before = copy.deepcopy(made.discriminator.state_dict())
    list(AdversarialTrainer(made).steps())
    after = made.discriminator.state_dict()
    weights = [name for name in before if name.endswith("weight")]
    assert len(weights) == 2 * sum(name.endswith("weight") for name in parts["a"].state_dict())
    assert not any(torch.equal(before[name], after[name]) for name in weights)


def test_several_generators_are_combined_by_a_function():
    def halves(networks, latent, condition):
        return torch.cat([networks["a"](latent), networks["b"](latent)], dim=1)

    made = recipe(generator=Networks({"a": generator(out=1), "b": generator(out=1)}, halves))
    assert len(list(AdversarialTrainer(made).steps())) == 2


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"latent_dim": 5}, r"the generator must accept latents \(8, 5\); got: .*latent_dim"),
        ({"latent_dim": None}, "latent_dim must be given for a generator without sample_latent"),
        ({"latent_dim": 0}, "latent_dim must be a positive integer, or several in a tuple; got 0"),
        ({"latent_dim": 4.0}, "latent_dim must be a positive integer"),
        ({"generator": ToyGenerator()}, "latent_dim must not be given for a generator with"),
        ({"generator": generator(out=3)}, r"samples of shape \(2,\), .*; got \(3,\)"),
        ({"generator": generator().double()}, "the generator must accept latents"),
        ({"generator": lambda z: z}, "generator must be an nn.Module; got a function"),
        ({"generator": {"a": generator()}}, r"must be Networks\(dictionary, forward\)"),
        ({"discriminator": "d"}, "discriminator must be an nn.Module; got a str"),
        ({"discriminator": nn.Linear(3, 1)}, r"the discriminator must accept samples \(12, 2\)"),
        (
            {"discriminator": nn.Flatten(0)},
            r"logits of shape \(12, ...\) for 12 samples; got \(24,\)",
        ),
        ({"data": X[:, None]}, r"samples of shape \(1, 2\), as the data have; got \(2,\)"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        recipe(**changes)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused():
    broken = generator()
    nn.init.constant_(broken[0].weight, float("nan"))
    with pytest.raises(ValueError, match="the generator must make finite samples"):
        recipe(generator=broken)
    scores = discriminator()
    nn.init.constant_(scores[0].weight, float("inf"))
    with pytest.raises(ValueError, match="the discriminator must return finite logits"):
        recipe(discriminator=scores)


def test_batch_statistics_may_be_given():
    given = ModuleDiscriminator(discriminator(), uses_batch_statistics=True)
    assert recipe(discriminator=given).discriminator.uses_batch_statistics
