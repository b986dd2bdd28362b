"""The softmax of two levels against one over the whole vocabulary."""

import pytest
import torch

from multigan.core.fitting import build_with_seed
from multigan.core.modules import eval_mode
from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.text.models.adaptive_embedding import AdaptiveEmbedding
from multigan.text.models.generator import TextGenerator
from multigan.text.models.token_sampling import MASKED_LOGIT, sample_tokens
from tests.text.special_ids import BOS, EOS, PAD, UNK

VOCABULARY, HEAD, LENGTH = 40, 10, 7


def table(seed=0):
    found = build_with_seed(lambda: AdaptiveEmbedding(VOCABULARY, 8, HEAD, 3), keyed_rng(seed))
    with torch.no_grad():  # so that the first level matters
        found.bias.copy_(torch.randn(HEAD + 1, generator=keyed_rng("bias")))
    return found.double()


def vectors(count):
    return torch.randn(count, 8, generator=keyed_rng("h"), dtype=torch.float64)


def masked(*tokens):
    mask = torch.zeros(VOCABULARY, dtype=torch.float64)
    mask[list(tokens)] = MASKED_LOGIT
    return mask


def test_probabilities_sum_to_one_and_those_of_targets_are_the_same_without_all_others():
    embedding, h = table(), vectors(VOCABULARY)
    logits = embedding.logits(h)
    assert torch.allclose(logits.exp().sum(1), torch.ones(VOCABULARY, dtype=torch.float64))
    for mask in (masked(), masked(PAD, BOS)):
        targets = torch.arange(VOCABULARY)
        wanted = (logits + mask).log_softmax(1).diagonal()
        allowed = mask == 0
        found = embedding.log_probability(h, targets, mask)
        assert torch.allclose(found[allowed], wanted[allowed], atol=1e-12)


def test_gradients_are_those_of_the_whole_softmax():
    targets, h = torch.tensor([1, 5, 12, 39]), vectors(4).requires_grad_()
    embedding = table()
    parameters = [h, *embedding.parameters()]
    whole = -embedding.logits(h).gather(1, targets[:, None]).sum()
    short = -embedding.log_probability(h, targets, masked()).sum()
    pairs = zip(
        torch.autograd.grad(whole, parameters, allow_unused=True),
        torch.autograd.grad(short, parameters, allow_unused=True),
        strict=True,
    )
    for wanted, found in pairs:
        assert (wanted is None and found is None) or torch.allclose(wanted, found, atol=1e-12)


def test_sampled_tokens_are_those_of_the_whole_distribution_at_the_same_quantile():
    embedding, count = table(), 2000
    h, uniform = vectors(1).expand(count, -1), torch.arange(count) / count
    mask = masked(PAD, BOS, UNK)
    found = embedding.sample(h, mask, uniform)
    wanted = sample_tokens(embedding.logits(h) + mask, uniform)
    assert float((found == wanted).double().mean()) > 0.99  # others lie on an edge
    assert len(found.unique()) > 20


def test_rare_and_frequent_tokens_have_vectors_of_the_same_size_and_gradients():
    embedding = table()
    tokens = torch.tensor([[0, 9], [10, 39]])
    found = embedding(tokens)
    assert found.shape == (2, 2, 8)
    found.sum().backward()
    assert embedding.weight.grad.abs().sum(1).nonzero().flatten().tolist() == [0, 9]
    assert embedding.tail.grad.abs().sum(1).nonzero().flatten().tolist() == [0, 29]


@pytest.mark.parametrize("head", [3, VOCABULARY])
def test_a_first_level_of_all_tokens_or_without_the_specials_is_refused(head):
    with pytest.raises(ValueError, match="head_size must be 4 or more and below the vocabulary"):
        AdaptiveEmbedding(VOCABULARY, 8, head, 3)


def test_an_adaptive_embedding_is_tied():
    with pytest.raises(ValueError, match="head_size must be 0 without tie_embeddings; got 10"):
        TextGenerator(VOCABULARY, LENGTH, head_size=HEAD)


def generator(**settings):
    sizes = {"embedding": 8, "width": 12, "tie_embeddings": True, "head_size": HEAD}
    build = lambda: TextGenerator(VOCABULARY, LENGTH, **(sizes | settings))  # noqa: E731
    return build_with_seed(build, keyed_rng("generator"))


def test_a_generator_scores_its_lines_alike_by_tokens_and_by_one_hot_rows():
    g = generator().eval()
    tokens = g.generate(g.sample_latent(32, keyed_rng("lines")))
    one_hot = torch.nn.functional.one_hot(tokens, VOCABULARY).float()
    by_tokens, by_rows = (g.log_likelihood(Batch(x)) for x in (tokens, one_hot))
    assert torch.equal(by_tokens, by_rows)
    warm = g.token_log_likelihood(tokens, temperature=1 + 1e-6).sum(1)  # the whole softmax
    assert torch.allclose(by_tokens, warm, atol=1e-3)


def test_a_generator_never_samples_specials_and_ends_with_padding():
    g = generator().eval()
    tokens = g.generate(g.sample_latent(256, keyed_rng("lines")))
    ended = (tokens == EOS).cumsum(1) - (tokens == EOS).long() > 0
    assert not ((tokens == BOS) | (tokens == UNK)).any() and torch.equal(tokens == PAD, ended)
    assert (tokens >= HEAD).any()


@pytest.mark.parametrize("estimator", ["straight_through", "reinforce"])
def test_gradients_of_adversarial_training_reach_both_levels(estimator):
    g = generator(estimator=estimator).train()
    x = g(g.sample_latent(16, keyed_rng("train")))
    assert x.shape == (16, LENGTH, VOCABULARY)
    if estimator == "reinforce":
        g.policy_loss(x, None, torch.randn(16, 1), torch.ones(16, 1)).sum().backward()
    else:
        (x * torch.randn(VOCABULARY, generator=keyed_rng("direction"))).sum().backward()
    assert g.embedding.tail.grad.abs().sum() > 0 and g.embedding.weight.grad.abs().sum() > 0


def test_states_are_those_that_predict_each_token():
    g = generator().eval()
    tokens = g.generate(g.sample_latent(4, keyed_rng("lines")))
    with eval_mode(g), torch.no_grad():
        states = g.hidden_states(tokens)
        log_p = g._logits(states, g.train_mask).log_softmax(-1)
    free = tokens != PAD
    wanted = g.token_log_likelihood(tokens)[free]
    found = log_p.gather(2, tokens[..., None]).squeeze(2)[free]
    assert torch.allclose(found, wanted, atol=1e-4)
