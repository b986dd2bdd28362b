"""What networks of the caller must be is found at construction, in one sentence."""

import copy
import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import dropout
from torch.nn.utils import spectral_norm
from torch.utils.checkpoint import checkpoint

from multigan import ArrayDataset, Networks, Recipe
from multigan.core.adapters import ModuleDiscriminator, ModuleGenerator
from multigan.core.modules import copy_module
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import ToyDiscriminator, ToyGenerator, toy_recipe

X = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
LABELS = np.where(np.arange(40) == 30, 7, 0)  # the largest label is late


class Made(nn.Module):
    """A module with a layer whose forward is the function that it is given."""

    def __init__(self, layer, forward):
        super().__init__()
        self.layer, self.made = layer, forward

    def forward(self, x):
        return self.made(self, self.layer(x))


class Labeled(nn.Module):
    """A module that embeds labels of 0 to `classes` - 1."""

    def __init__(self, inputs, outputs, classes, key=None):
        super().__init__()
        self.label, self.body, self.key = (
            nn.Embedding(classes, inputs),
            nn.Linear(inputs, outputs),
            key,
        )

    def forward(self, x, y):
        return self.body(x + self.label(y if self.key is None else y[self.key]))


def generator():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def discriminator(forward=lambda _, h: h, outputs=1):
    return Made(nn.Linear(2, outputs), forward)


def recipe(**changes):
    own = {"generator": generator, "discriminator": discriminator}
    made = {name: make() for name, make in own.items() if name not in changes}
    given = {"data": ArrayDataset(X), "latent_dim": 4, "steps": 1, "batch_size": 8}
    return Recipe(**(given | made | changes))


OUTPUTS = {
    "class logits": (lambda _, h: (h[:, :1], h), "must be the weights of logits .* a Term"),
    "a feature": (lambda _, h: (h[:, :1], h[:, :1] - 9), "got negative or undefined values"),
    "three values": (lambda _, h: (h[:, :1], h, h), "got a tuple of 3"),
    "no weights": (lambda _, h: (h[:, :1], None), "got a NoneType"),
    "classes in training": (lambda m, h: (h[:, :1], h) if m.training else h[:, :1], "a Term"),
    "a mean over the batch": (lambda _, h: h.mean(0), "logits of shape"),
    "a number": (lambda _, h: h.mean(), "logits of shape"),
    "no graph": (lambda _, h: h[:, :1].detach(), "must be differentiable in its samples"),
    "a constant": (lambda m, h: m.layer.bias.sum().expand(len(h)), "must be differentiable"),
    "an error": (lambda _, h: h.view(-1, 77), "the discriminator must accept samples .*77"),
}


@pytest.mark.parametrize("case", OUTPUTS)
@pytest.mark.parametrize("outputs", [2, 4, 5])  # axes that a number of samples may equal
def test_outputs_that_are_no_logits_are_refused(case, outputs):
    forward, message = OUTPUTS[case]
    with pytest.raises(ValueError, match=message) as caught:
        recipe(discriminator=discriminator(forward, outputs))
    assert "\n" not in str(caught.value)


SAMPLES = {
    "a mean over the batch": (lambda _, h: h.mean(0, keepdim=True), "must make samples of shape"),
    "no graph": (lambda _, h: h.detach(), "must make samples with a graph"),
    "a pair": (lambda _, h: (h, h), "must return a tensor; got a tuple"),
    "an error": (lambda _, h: h @ h, "the generator must accept latents"),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_outputs_that_are_no_samples_are_refused(case):
    forward, message = SAMPLES[case]
    with pytest.raises(ValueError, match=message) as caught:
        recipe(generator=Made(nn.Linear(4, 2), forward))
    assert "\n" not in str(caught.value)


def test_weights_of_the_logits_are_accepted():
    made = recipe(discriminator=discriminator(lambda _, h: (h, torch.ones_like(h)), 3))
    assert len(list(AdversarialTrainer(made).steps())) == 1


def of_groups(_, h):
    """Minus the deviation in groups of four samples, as minibatch stddev has it."""
    grouped = h.view(min(4, len(h)), -1, h.shape[1])
    return (grouped - grouped.std(0)).view(h.shape)


def of_packs(_, h):
    """The mean of the two samples of a pack, for both."""
    return h.reshape(-1, 2, h.shape[1]).mean(1).repeat_interleave(2, 0)


STATISTICS = {
    "groups": of_groups,
    "packs": of_packs,
    "normalized": lambda _, h: (h - h.mean(0)) / (h.std(0) + 1e-5),
    "in training alone": lambda m, h: h - h.mean(0) if m.training else h,
    "beside dropout": lambda m, h: dropout(h - h.mean(0), 0.5, m.training),
    "undefined for one sample": lambda _, h: h / h.std(0),
}
OWN_NOISE, NUMPY_NOISE = torch.Generator(), np.random.default_rng(0)
WITHOUT = {
    "noise of its own": lambda _, h: h + torch.randn(h.shape, generator=OWN_NOISE),
    "noise of numpy": lambda _, h: h + float(NUMPY_NOISE.normal()),
    "noise of numpy's global state": lambda _, h: h + float(np.random.normal()),
    "none": lambda _, h: h,
    "dropout": lambda m, h: dropout(h, 0.5, m.training),
    "per sample": lambda _, h: h - h.mean(1, keepdim=True),
}


@pytest.mark.parametrize("first", range(4))
def test_noise_that_is_close_by_chance_is_not_taken_for_statistics(first):
    values = itertools.islice(itertools.cycle([1.0, 1.0, 3.0, 5.0]), first, None)
    noisy = discriminator(lambda _, h: h + next(values), 3)
    assert not recipe(discriminator=noisy).discriminator.uses_batch_statistics


@pytest.mark.parametrize("case", [*STATISTICS, *WITHOUT])
def test_statistics_of_the_batch_are_found_wherever_they_are_used(case):
    forward = (STATISTICS | WITHOUT)[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = recipe(discriminator=discriminator(forward, 3), penalties={"r1": 1.0})
    assert made.discriminator.uses_batch_statistics == (case in STATISTICS)
    if case in STATISTICS:
        with pytest.raises(ValueError, match="the discriminator uses batch statistics"):
            AdversarialTrainer(made)


class Counter(nn.Module):
    """Counts its calls in a buffer that it replaces."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        return x


def test_the_check_leaves_buffers_modes_and_random_streams_as_they_are():
    layers = (nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(), Counter(), nn.Linear(8, 1))
    d, g = nn.Sequential(*layers), nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    d[1].eval()
    before, stream = copy.deepcopy(d.state_dict()), torch.random.get_rng_state()
    recipe(discriminator=d, generator=g)
    assert all(torch.equal(before[name], value) for name, value in d.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert [layer.training for layer in layers] == [True, False, True, True, True]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_discriminator_that_squeezes_its_logits_trains(batch_size):
    made = recipe(discriminator=discriminator(lambda _, h: h.squeeze()), batch_size=batch_size)
    assert len(list(AdversarialTrainer(made).steps())) == 1


@pytest.mark.parametrize("key", [None, "a"])
@pytest.mark.parametrize("least", [0, -1])
def test_every_label_must_have_a_row_of_an_embedding(key, least):
    y = LABELS if least == 0 else -LABELS
    data = ArrayDataset(X, y if key is None else {key: y})
    with pytest.raises(ValueError, match=r"an nn\.Embedding must have a row"):
        recipe(data=data, generator=Labeled(4, 2, 3, key), discriminator=Labeled(2, 1, 8, key))
    if least == 0:
        recipe(data=data, generator=Labeled(4, 2, 8, key), discriminator=Labeled(2, 1, 8, key))


@pytest.mark.parametrize(
    "y, words", [(LABELS.astype("float32"), "float32"), (np.eye(8)[LABELS], "float32")]
)
def test_conditions_that_are_no_labels_are_named_as_such(y, words):
    with pytest.raises(ValueError, match=f"y .*{words}; got: .*an nn.Embedding takes integers"):
        recipe(data=ArrayDataset(X, y), generator=Labeled(4, 2, 8))


@pytest.mark.parametrize("plain", [True, False])
def test_networks_with_parameters_in_common_are_refused(plain):
    shared = nn.Linear(2, 2)
    if plain:
        networks = {
            "generator": nn.Sequential(nn.Linear(4, 2), shared),
            "discriminator": nn.Sequential(shared, nn.Linear(2, 1)),
        }
        make = recipe
    else:
        networks = {"generator": ToyGenerator(), "discriminator": ToyDiscriminator()}
        networks["discriminator"].of_both = networks["generator"]
        make = toy_recipe
    with pytest.raises(
        ValueError, match=r"must have trainable parameters of their own.*copy\.deepcopy"
    ):
        make(**networks)


def test_networks_may_have_frozen_parameters_in_common():
    shared = nn.Linear(2, 2).requires_grad_(False)
    before = shared.weight.clone()
    made = recipe(
        generator=nn.Sequential(nn.Linear(4, 2), shared),
        discriminator=nn.Sequential(shared, nn.Linear(2, 1)),
    )
    assert len(list(AdversarialTrainer(made).steps())) == 1
    assert torch.equal(shared.weight, before)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
def test_a_reentrant_checkpoint_trains_without_penalties():
    last = nn.Linear(3, 1)

    def make():
        return discriminator(lambda _, h: checkpoint(last, h, use_reentrant=True), 3)

    assert len(list(AdversarialTrainer(recipe(discriminator=make(), penalties={})).steps())) == 1
    with pytest.raises(ValueError, match=r"for penalties; got .*: pass use_reentrant=False"):
        recipe(discriminator=make(), penalties={"r1": 1.0})


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_networks_without_values_or_trainable_parameters_are_refused(name):
    networks = {"generator": generator, "discriminator": discriminator}
    with pytest.raises(ValueError, match=f"the {name} must have values; got .* meta device"):
        recipe(**{name: networks[name]().to("meta")})
    frozen = recipe(**{name: networks[name]().requires_grad_(False)})  # may be loaded
    with pytest.raises(ValueError, match=f"the {name} must have trainable parameters; got only"):
        AdversarialTrainer(frozen)


def test_a_sigmoid_before_a_loss_of_logits_is_warned_of():
    with pytest.warns(UserWarning, match="ends in a sigmoid; the loss relativistic is of logits"):
        recipe(discriminator=discriminator(lambda _, h: h.sigmoid()))
    with pytest.warns(UserWarning, match="ends in a sigmoid"):
        recipe(discriminator=discriminator(lambda _, h: h.sigmoid().view(-1)[:, None].squeeze()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe(discriminator=discriminator(lambda _, h: h.sigmoid()), loss="least_squares")
        recipe(discriminator=discriminator(lambda _, h: 0.5 + 0 * h))
        recipe(discriminator=discriminator(lambda _, h: h.sigmoid() * h))


def test_networks_by_name_must_be_modules():
    with pytest.raises(ValueError, match=r"the network 'a' must be an nn\.Module; got a int"):
        Networks({"a": 1})


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_torchscript_networks_train():
    scripted = {
        "generator": torch.jit.script(generator()),
        "discriminator": torch.jit.script(nn.Linear(2, 1)),
    }
    made = recipe(**scripted)
    before = made.generator.network[0].weight.clone()
    assert len(list(AdversarialTrainer(made).steps())) == 1
    assert not torch.equal(before, made.generator.network[0].weight)


def test_a_network_that_keeps_a_graph_is_copied():
    network = spectral_norm(nn.Linear(2, 1))
    network(torch.ones(1, 2))
    copied = copy_module(network)
    assert torch.equal(copied(torch.ones(1, 2)), network(torch.ones(1, 2)))
    assert all(p.requires_grad for p in copied.parameters())


@pytest.mark.parametrize("kind", [np.int64, np.int32, lambda n: torch.tensor(n)])
def test_sizes_of_numpy_are_integers(kind):
    assert ModuleGenerator(nn.Identity(), kind(4)).latent_shape == (4,)
    assert ModuleGenerator(nn.Identity(), (kind(4), 2)).latent_shape == (4, 2)
    with pytest.raises(ValueError, match="latent_dim must be a positive integer"):
        ModuleGenerator(nn.Identity(), True)


def test_a_discriminator_of_one_sample_keeps_its_batch_axis():
    patches = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(0, 1))  # (1, 1, H, W) -> (1, H, W)
    logits = ModuleDiscriminator(Made(patches, lambda _, h: h.squeeze()))(torch.ones(1, 1, 6, 6))
    assert logits.shape == (1, 4, 4)
