"""The discriminator reads tokens in place of one-hot rows where it can, with the same results."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from multigan.core.recipe import Term
from multigan.core.recipe_file import build_recipe, read_recipe
from multigan.engine import batches
from multigan.engine.batches import reads_compact
from multigan.engine.trainer import AdversarialTrainer
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator
from multigan.text.models.soft_embedding import SoftEmbedding
from multigan.text.tokenization.tokenizer import one_hot

ENDS, BETWEEN = {"r1": 0.1, "r2": 0.1}, {"wgan_gp": 1.0}


def recipe(**hyperparameters):
    file = read_recipe("text")
    sizes = {"likelihood_steps": 0, "steps": 2, "batch_size": 8}
    return build_recipe(file, file.tiny | sizes | hyperparameters, seed=0)


def trained(monkeypatch, compact, changes, **hyperparameters):
    """The weights of both networks and the logged values of a short training."""
    if not compact:
        monkeypatch.setattr(batches, "reads_compact", lambda _: False)
    torch.manual_seed(0)
    made = AdversarialTrainer(replace(recipe(**hyperparameters), **changes), seed=1)
    logged = [dict(step.values) | made.diversity_metrics() for step in made.steps()]
    monkeypatch.undo()
    seen = made._last_discriminator_batch
    assert seen[0].is_floating_point() is seen[1].is_floating_point() is not compact
    weights = [p.detach() for net in made.networks().values() for p in net.parameters()]
    return weights, logged


@pytest.mark.parametrize(
    ("changes", "hyperparameters"),
    [
        ({}, {}),
        ({"penalties": ENDS}, {"discriminator": "token"}),
        ({"gradient_accumulation_steps": 2}, {"estimator": "reinforce"}),
        ({"penalties": ENDS, "discriminator_steps": 1}, {"discriminator": "sequence"}),
        ({"loss": "relativistic"}, {"discriminator": "relgan"}),
    ],
)
def test_training_on_tokens_is_training_on_one_hot_rows_bit_by_bit(
    monkeypatch, changes, hyperparameters
):
    tokens, rows = (trained(monkeypatch, c, changes, **hyperparameters) for c in (True, False))
    assert len(tokens[0]) == len(rows[0]) > 0
    assert all(a.equal(b) for a, b in zip(tokens[0], rows[0], strict=True))
    assert tokens[1] == rows[1] and "diversity/fake" in tokens[1][-1]


@pytest.mark.parametrize(
    ("changes", "hyperparameters", "compact"),
    [
        ({}, {}, True),
        ({"penalties": ENDS}, {"estimator": "reinforce"}, True),
        ({}, {"estimator": "soft"}, False),  # it reads relaxed rows
        ({"penalties": BETWEEN}, {}, False),  # between a real and a fake
        ({"losses": {"own": Term(lambda t: t.fake.mean())}}, {}, False),  # a term has rows
        ({"augment": lambda x, condition, rng: (x, condition)}, {}, False),
    ],
)
def test_rows_are_formed_where_something_needs_them(changes, hyperparameters, compact):
    assert reads_compact(replace(recipe(**hyperparameters), **changes)) is compact


def test_other_domains_and_discriminators_are_left_alone():
    for name in ("points", "music"):
        file = read_recipe(name)
        assert not reads_compact(build_recipe(file, file.tiny, seed=0))


class OwnGenerator(TextGenerator):
    def forward(self, latent, condition=None):
        return super().forward(latent, condition)


class OwnDiscriminator(TextCNN):
    def embed(self, x):
        return super().embed(x)


def test_subclasses_with_a_forward_or_an_embedding_of_their_own_have_rows():
    made = recipe()
    sizes = (made.generator.vocabulary_size, made.generator.length)
    assert not OwnGenerator(*sizes).is_hard and TextGenerator(*sizes).is_hard
    assert not OwnDiscriminator(sizes[0]).embeds_compact and TextCNN(sizes[0]).embeds_compact


def test_under_autocast_tokens_are_embedded_as_precisely_as_rows():
    torch.manual_seed(0)
    embedding, tokens = SoftEmbedding(2000, 16), torch.randint(0, 2000, (3, 5))
    rows = one_hot(tokens, 2000, embedding.table.weight)
    with torch.autocast("cpu", torch.bfloat16):
        found = embedding(tokens), embedding(rows.requires_grad_())
    torch.testing.assert_close(*(e.float() for e in found), rtol=1e-2, atol=1e-2)


def test_tokens_are_embedded_as_their_one_hot_rows():
    torch.manual_seed(0)
    for fixed in (False, True):
        embedding = SoftEmbedding(50, 7, fixed)
        tokens = torch.randint(0, 50, (3, 5))
        rows = one_hot(tokens, 50, embedding.table.weight)
        assert embedding(tokens).equal(embedding(rows))
        grads = [
            torch.autograd.grad(embedding(x).square().sum(), embedding.table.weight)[0]
            for x in (tokens, rows)
        ]
        assert grads[0].equal(grads[1])


def test_no_row_of_the_vocabulary_is_formed_in_an_update_of_the_discriminator(monkeypatch):
    made = AdversarialTrainer(recipe(), seed=1)
    width, seen = made.generator.vocabulary_size, []

    def score(e, condition=None, _score=made.discriminator.score):
        seen.append(e.shape[-1])
        return _score(e, condition)

    def expand(x):
        seen.append(width)
        return one_hot(x, width, made.generator.embedding.weight)

    monkeypatch.setattr(made.generator, "expand", expand)
    made.objective._forward = score
    stream = made.reals.batches(0)
    real = next(stream)
    made._discriminator_update(real, None, 0, {})
    assert real.x.dtype == torch.int64 and seen == [made.discriminator.embed(real.x).shape[-1]]
    assert batches.reads_compact(made.recipe)
