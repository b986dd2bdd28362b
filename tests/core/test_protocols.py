"""The contract of a domain, checked with the networks and data of its tiny recipe."""

import importlib
import json
import math
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch

from multigan.core.media import same_samples
from multigan.core.protocols import (
    Dataset,
    Discriminator,
    Domain,
    Generator,
    Sampler,
    SupportsEmbeddingPenalty,
    SupportsExampleCondition,
    SupportsInterpolation,
    SupportsKeyedBatches,
)
from multigan.core.recipe import recipe_from_json, recipe_to_json
from multigan.core.recipe_file import recipe_names
from multigan.core.rng import keyed_rng
from multigan.core.serialization import (
    component_name,
    domain_table,
    domains,
    from_config,
    import_attribute,
    to_config,
)
from multigan.core.trees import tree_map
from multigan.engine.losses import LOSSES
from multigan.engine.trainer import AdversarialTrainer
from tests.run_helpers import DOMAINS, tiny_recipe

BATCH = 64  # large enough to hold every label
# The smallest gradient over the largest of its network, in float64: at least 4e-6 in every domain
# (music), and below 4e-16 for a parameter that its loss cannot move.
MARGIN = 1e-9
every_domain = pytest.mark.parametrize("name", DOMAINS)


def real_batch(recipe, n=BATCH, start=0):
    """`n` samples from all over the set."""
    spread = torch.linspace(start, len(recipe.data) - 1, n).long()
    return recipe.data.batch(spread, keyed_rng("draws") if recipe.data.is_stochastic else None)


def fakes(recipe, batch):
    latent = recipe.generator.sample_latent(len(batch.x), keyed_rng("latent"))
    return recipe.generator(latent, batch.condition)


def logits_of(output):
    """Each sample's weighted mean logit (B,)."""
    logits, weights = output if isinstance(output, tuple) else (output, torch.ones_like(output))
    logits, weights = logits.flatten(1) if logits.dim() > 1 else logits[:, None], weights
    weights = weights.flatten(1) if weights.dim() > 1 else weights[:, None]
    return (logits * weights).sum(1) / weights.sum(1)


@pytest.fixture(scope="module")
def trained():
    """Each domain's recipe after three steps, and the gradients of these."""
    made = {}

    def after_three_steps(name):
        if name not in made:
            made[name] = train_three_steps(tiny_recipe(name, batch_size=BATCH))
        return made[name]

    return after_three_steps


class InFloat64:
    """A dataset whose samples are float64."""

    def __init__(self, data):
        self.data = data
        if isinstance(data, SupportsKeyedBatches):
            self.keyed_batch = lambda *arguments: self.doubled(data.keyed_batch(*arguments))

    def __getattr__(self, name):
        return getattr(self.data, name)

    def __len__(self):
        return len(self.data)

    def batch(self, indices, rng=None):
        return self.doubled(self.data.batch(indices, rng))

    @staticmethod
    def doubled(batch):
        return batch._replace(x=batch.x.double())


def in_float64(recipe):
    """The recipe with networks and samples in float64: rounding is far below any gradient."""

    def double(_, arguments):
        floats = (torch.float32, torch.float64)
        return tree_map(lambda leaf: leaf.double() if leaf.dtype in floats else leaf, arguments)

    for network in (recipe.generator, recipe.discriminator):
        network.double().register_forward_pre_hook(double)
    return replace(recipe, data=InFloat64(recipe.data))


def train_three_steps(recipe, loss="nonsaturating"):
    """Train with a loss under which a constant added to all logits has a gradient.

    A relativistic loss is invariant to it, so that the gradient of a last bias is rounding.
    """
    recipe = in_float64(replace(recipe, steps=3, likelihood_steps=0, loss=loss))
    networks = {"generator": recipe.generator, "discriminator": recipe.discriminator}
    missing = {role: set() for role in networks}  # parameters without a gradient in some step
    largest = {role: {} for role in networks}  # absolute gradient over the steps
    trainer = AdversarialTrainer(recipe)
    for role, network in networks.items():

        def note(*_, role=role, network=network):
            for key, p in network.named_parameters():
                if p.grad is None:
                    missing[role].add(key)
                else:
                    found = float(p.grad.abs().max())
                    largest[role][key] = max(found, largest[role].get(key, 0.0))

        trainer.optimizers[role].register_step_pre_hook(note)
    assert [step.number for step in trainer.steps()] == [1, 2, 3]
    return recipe, missing, largest


def test_every_domain_has_a_default_recipe():
    assert {name for name, place in domains().items() if place.startswith("multigan.")} <= set(
        recipe_names()
    )
    assert DOMAINS


@every_domain
def test_fakes_and_reals_agree_in_shape_and_type(name):
    recipe = tiny_recipe(name)
    assert isinstance(recipe.generator, Generator)
    assert isinstance(recipe.discriminator, Discriminator)
    assert isinstance(recipe.data, Dataset) and isinstance(recipe.data.domain, Domain)
    batch = real_batch(recipe, n=5)
    for generator in (recipe.generator.train(), recipe.generator.eval()):
        fake = fakes(replace(recipe, generator=generator), batch)
        assert fake.shape == batch.x.shape and fake.dtype == batch.x.dtype
    assert len(logits_of(recipe.discriminator(batch.x, batch.condition))) == 5


@every_domain
def test_every_parameter_has_a_gradient_above_rounding_within_three_steps(name, trained):
    _, missing, largest = trained(name)
    assert missing == {"generator": set(), "discriminator": set()}
    assert {role: unmoved(gradients) for role, gradients in largest.items()} == {
        "generator": set(),
        "discriminator": set(),
    }


def unmoved(gradients):
    """Parameters whose gradient is rounding."""
    scale = max(gradients.values())
    return {key for key, gradient in gradients.items() if gradient <= MARGIN * scale}


@pytest.mark.parametrize(
    ("name", "biases"), [("points", {"last.bias"}), ("text", {"hidden.bias", "to_logits.bias"})]
)
def test_the_biases_that_a_relativistic_loss_cannot_move_are_found(name, biases):
    largest = train_three_steps(tiny_recipe(name, batch_size=BATCH), "relativistic")[2]
    assert unmoved(largest["discriminator"]) == biases


def test_a_relativistic_loss_alone_ignores_a_constant_added_to_all_logits():
    real, fake = torch.tensor([0.5, 2.0]).double(), torch.tensor([-1.0, 0.3]).double()
    moved = {
        name: not torch.allclose(
            loss.discriminator(real + 1, fake + 1), loss.discriminator(real, fake)
        )
        for name, loss in LOSSES.items()
        if not loss.subtracts_opposite_mean
    }
    assert {name for name, has_moved in moved.items() if not has_moved} == {
        "wasserstein",
        "relativistic",
    }


@every_domain
def test_the_gradient_of_a_penalty_reaches_every_weight_of_the_discriminator(name, trained):
    recipe = trained(name)[0]
    network, batch = recipe.discriminator, real_batch(recipe)
    if network.uses_batch_statistics:
        pytest.skip("a discriminator that couples its batch takes no penalty")
    x = batch.x.clone().requires_grad_()
    logits = logits_of(network(x, batch.condition))
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    penalty = slope.flatten(1).square().sum(1).mean()
    weights = {key: p for key, p in network.named_parameters() if p.dim() > 1}
    grads = torch.autograd.grad(penalty, list(weights.values()), allow_unused=True)
    assert penalty > 0 and None not in grads
    largest = {key: float(g.abs().max()) for key, g in zip(weights, grads, strict=True)}
    assert all(map(math.isfinite, largest.values())) and unmoved(largest) == set()


@every_domain
def test_a_penalty_at_an_embedding_is_the_dense_one_or_the_plain_one_of_a_reading(name):
    recipe = tiny_recipe(name)
    network = recipe.discriminator.double().train()
    if not isinstance(network, SupportsEmbeddingPenalty):
        pytest.skip("its discriminator sees samples as they are")
    batch = real_batch(recipe, n=5)
    x = batch.x.double().requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of dropout, equal on both ways
        dense = logits_of(network(x, batch.condition))
        (slope,) = torch.autograd.grad(dense.sum(), x)
        entry = network.embed(x.detach()).detach().requires_grad_()
        torch.manual_seed(0)
        embedded = logits_of(network.score(entry, batch.condition))
    (entry_slope,) = torch.autograd.grad(embedded.sum(), entry)
    torch.testing.assert_close(embedded, dense, rtol=1e-9, atol=1e-12)
    is_linear = torch.allclose(network.embed(3 * x), 3 * network.embed(x))
    if not is_linear:  # a reading: nothing in it is learnt
        parameters = list(network.parameters())
        learnt = torch.autograd.grad(network.embed(x).sum(), parameters, allow_unused=True)
        assert all(grad is None for grad in learnt)
    expected = slope if is_linear else entry_slope
    squared = network.squared_input_norm(entry_slope)
    wanted = expected.flatten(1).square().sum(1)
    torch.testing.assert_close(squared, wanted, rtol=1e-9, atol=1e-12)


@every_domain
def test_samples_survive_being_written_and_read_back(name, tmp_path):
    recipe = tiny_recipe(name)
    samples = Sampler(recipe.data.domain, recipe.generator).sample(3, seed=1)
    assert len(samples) == 3
    files = recipe.data.domain.write(samples, tmp_path)
    assert files and all(file.is_file() and tmp_path in file.parents for file in files)
    assert same_samples(recipe.data.domain.read_samples(tmp_path), samples)


@every_domain
def test_a_preview_is_drawn_with_any_number_of_columns_and_of_samples(name, tmp_path):
    recipe = tiny_recipe(name)
    samples = Sampler(recipe.data.domain, recipe.generator).sample(6)
    for columns, shown in ((None, samples), (3, samples), (1, samples[:1])):
        path = tmp_path / f"step.{columns}"
        files = recipe.data.domain.preview(shown, path, columns=columns)
        assert files and all(file.name.startswith(path.name + ".") for file in files)
        assert all(file.stat().st_size > 0 and file.parent == tmp_path for file in files)


@every_domain
def test_decoding_takes_real_data_and_anything_beyond_its_range(name):
    recipe = tiny_recipe(name)
    x = real_batch(recipe, n=5).x
    domain = recipe.data.domain
    assert len(domain.decode(x)) == len(domain.decode(1e6 * x)) == len(domain.decode(-x)) == 5


@every_domain
def test_a_sample_depends_on_the_seed_and_never_on_how_many_are_drawn(name):
    recipe = tiny_recipe(name)
    sampler = Sampler(recipe.data.domain, recipe.generator)
    many = sampler.sample(66, seed=5)
    assert same_samples(sampler.sample(3, seed=5), many[:3])
    assert same_samples(sampler.sample(65, seed=5)[64:], many[64:65])
    assert not same_samples(many[64:65], many[:1])
    assert not same_samples(sampler.sample(3, seed=6), many[:3])
    assert sampler.sample(0) == []


@every_domain
def test_sampling_leaves_the_generator_and_the_global_stream_alone(name):
    recipe = tiny_recipe(name)
    before = torch.get_rng_state()
    Sampler(recipe.data.domain, recipe.generator.train()).sample(2)
    assert all(module.training for module in recipe.generator.modules())
    assert torch.equal(torch.get_rng_state(), before)


@every_domain
def test_the_same_indices_and_rng_give_the_same_batch(name):
    data = tiny_recipe(name).data
    again = from_config(json.loads(json.dumps(to_config(data))))
    assert again.fingerprint == data.fingerprint and len(again) == len(data)
    for split in ("train", "valid", "test"):
        one, other = data.split(split), again.split(split)
        batches = [d.batch(torch.arange(4), keyed_rng("same")) for d in (one, other)]
        tree_map(lambda a, b: torch.testing.assert_close(a, b, rtol=0, atol=0), *batches)
    fingerprints = [data.split(split).fingerprint for split in ("train", "valid", "test")]
    assert len(set(fingerprints)) == 3


@every_domain
def test_a_recipe_survives_json(name):
    text = json.dumps(recipe_to_json(tiny_recipe(name)))
    assert json.dumps(recipe_to_json(recipe_from_json(json.loads(text)))) == text


@every_domain
def test_every_part_is_rebuilt_from_its_description(name):
    recipe = tiny_recipe(name)
    parts = [recipe.data, recipe.data.domain, recipe.generator, recipe.discriminator]
    for item in [*parts, *([recipe.augment] if recipe.augment is not None else [])]:
        description = json.loads(json.dumps(to_config(item)))
        again = from_config(description)
        assert type(again) is type(item) and to_config(again) == to_config(item)


@pytest.mark.parametrize("name", domains())
def test_every_name_in_the_tables_of_a_domain_leads_to_its_own_code(name):
    package = domains()[name]
    for part, place in domain_table(name, "COMPONENTS").items():
        assert place.startswith((f"{package}.", "multigan.benchmarks."))
        assert component_name(import_attribute(place)) == f"{name}/{part}"
        assert hasattr(import_attribute(place).__init__, "__wrapped__"), f"{part} lacks @component"
    for place in domain_table(name, "COMMANDS").values():
        assert place.startswith(f"{package}.") and callable(import_attribute(place))
    assert callable(importlib.import_module(package).load)


@every_domain
def test_a_domain_is_a_frozen_value(name):
    domain = tiny_recipe(name).data.domain
    assert domain == tiny_recipe(name).data.domain
    with pytest.raises(FrozenInstanceError):
        setattr(domain, fields(domain)[0].name, None)


@every_domain
def test_a_walk_starts_and_ends_at_its_latents(name):
    generator = tiny_recipe(name).generator
    if not isinstance(generator, SupportsInterpolation):
        pytest.skip("its latents cannot be walked between")
    a, b = (generator.sample_latent(4, keyed_rng(end)) for end in "ab")
    tree_map(torch.testing.assert_close, generator.interpolate(a, b, 0.0), a)
    tree_map(torch.testing.assert_close, generator.interpolate(a, b, 1.0), b)


@every_domain
def test_an_example_of_a_condition_is_one_that_its_generator_takes(name):
    generator = tiny_recipe(name).generator.eval()
    if not isinstance(generator, SupportsExampleCondition):
        pytest.skip("its generator takes no condition")
    condition = generator.example_condition(3)
    tree_map(lambda leaf: pytest.fail("other axis") if len(leaf) != 3 else leaf, condition)
    assert len(generator(generator.sample_latent(3, keyed_rng("example")), condition)) == 3
