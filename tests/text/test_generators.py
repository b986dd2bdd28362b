import itertools

import pytest
import torch

from multigan.core.protocols import Batch, Generator
from multigan.core.rng import keyed_rng
from multigan.text.condition import no_condition
from multigan.text.models.generator import TextGenerator
from tests.forked import in_another_process
from tests.text.networks import (
    BACKBONES,
    LABELS,
    LENGTH,
    VOCABULARY,
    generator,
    given,
    lines,
    one_hot,
    redrawn,
)
from tests.text.special_ids import BOS, EOS, PAD, UNK

every_backbone = pytest.mark.parametrize("backbone", BACKBONES)


def drawn(g, n=400, condition=None, **controls):
    return g.generate(g.sample_latent(n, keyed_rng("latent")), condition, **controls)


@every_backbone
def test_a_generator_keeps_the_contract(backbone):
    g = generator(backbone)
    assert isinstance(g, Generator)
    latent = g.sample_latent(5, keyed_rng(0))
    for mode in (g.train(), g.eval()):
        x = mode(latent)
        assert x.shape == (5, LENGTH, VOCABULARY) and x.dtype == torch.float32
        torch.testing.assert_close(x.sum(-1), torch.ones(5, LENGTH))
    again = g.sample_latent(5, keyed_rng(0))
    assert torch.equal(latent.uniform, again.uniform) and torch.equal(latent.seed, again.seed)


@every_backbone
def test_a_line_holds_no_special_and_nothing_after_its_end(backbone):
    tokens = drawn(generator(backbone))
    ended = (tokens == EOS).cumsum(1) - (tokens == EOS).long() > 0
    assert torch.equal(tokens == PAD, ended)
    assert not ((tokens == BOS) | (tokens == UNK)).any()
    assert (tokens[:, 0] != EOS).all() and ended.any() and not ended.all(1).any()


def test_lines_are_as_long_as_they_must_be():
    tokens = drawn(generator(min_length=3))
    assert (tokens[:, :3] != EOS).all() and (tokens[:, 3] == EOS).any()


def test_lines_of_a_fixed_length_are_of_any_token():
    tokens = drawn(generator(fixed_length=True), n=2000)
    assert tokens.unique().tolist() == list(range(VOCABULARY))


def test_prompts_come_back_as_they_are_in_both_modes():
    g, condition = generator(num_classes=LABELS), given(6)
    for mode in (g.train(), g.eval()):
        tokens = mode(g.sample_latent(6, keyed_rng(1)), condition).argmax(-1)
        kept = condition.prompt != PAD
        assert torch.equal(tokens[kept], condition.prompt[kept])


@torch.no_grad()
def test_first_tokens_are_drawn_as_often_as_their_probability():
    g = generator("relational")
    n = 20_000
    first = drawn(g, n)[:, 0]
    log_p = g.token_log_likelihood(torch.arange(VOCABULARY)[:, None].expand(-1, LENGTH))[:, 0]
    shares = log_p.exp()
    shares[[PAD, BOS, EOS, UNK]] = 0
    shares = (shares / shares.sum())[4:].double()
    counts = torch.bincount(first, minlength=VOCABULARY)[4:].double()
    assert float(((counts - n * shares) ** 2 / (n * shares)).sum()) < 22.5  # 6 degrees, p = .001


def test_labels_and_controls_change_what_is_drawn():
    g = generator(num_classes=LABELS)
    free = no_condition(400, LENGTH, PAD)
    one, other = (drawn(g, condition=free._replace(label=free.label + k)) for k in range(2))
    assert not torch.equal(one, other)
    greedy = drawn(g, condition=free, top_k=1)
    assert len(greedy.unique(dim=0)) == 1
    assert torch.equal(greedy, drawn(g, condition=free, temperature=1e-6))
    with pytest.raises(ValueError, match="condition must have a label"):
        g(g.sample_latent(2, keyed_rng(0)))


def test_the_inverse_temperature_follows_the_schedule_and_is_kept():
    g = generator(inverse_temperature=9.0)
    assert (
        g.inverse_temperature == 1
        and g.anneal(0.5) == {"anneal/inverse_temperature": pytest.approx(3.0)}
        and g.inverse_temperature == 3
    )
    assert (
        g.anneal(1.0) == {"anneal/inverse_temperature": 9.0}
        and "inverse_temperature" in g.state_dict()
    )
    assert generator(estimator="reinforce").anneal(0.5) == {}


def test_dropout_acts_where_likelihood_is_learnt_and_nowhere_else():
    g, batch = generator(dropout=0.5), Batch(one_hot(lines(4)))
    latent = g.sample_latent(4, keyed_rng(0))
    g.train()
    assert torch.equal(g(latent), g(latent))
    assert not torch.equal(g.log_likelihood(batch), g.log_likelihood(batch))
    g.eval()
    assert torch.equal(g.log_likelihood(batch), g.log_likelihood(batch))


@every_backbone
@pytest.mark.parametrize("estimator", ["soft", "straight_through", "reinforce"])
def test_every_parameter_has_a_gradient(backbone, estimator):
    g = generator(backbone, estimator=estimator, num_classes=LABELS).train()
    x = g(g.sample_latent(8, keyed_rng(0)), given(8))
    if estimator == "reinforce":
        assert not x.requires_grad
        costs = torch.randn(8, LENGTH, generator=keyed_rng("costs"))
        g.policy_loss(x, given(8), costs, torch.ones_like(costs)).mean().backward()
    else:
        (x * torch.randn(x.shape, generator=keyed_rng("d"))).sum().backward()
    dead = [name for name, p in g.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


@pytest.mark.parametrize("logits", [2, 1, 3])
def test_the_gradient_of_the_policy_loss_is_that_of_the_expected_cost(logits):
    """Summed over all lines of two tokens out of four, with their probability.

    Two logits judge the two tokens, any other number of them the line as a whole.
    """
    sizes = {"embedding": 3, "width": 4, "fixed_length": True}
    g = redrawn(TextGenerator(4, 2, estimator="reinforce", discount=1.0, **sizes)).double()
    lines_ = torch.tensor(list(itertools.product(range(4), repeat=2)))
    costs = torch.randn(16, logits, generator=keyed_rng("c"), dtype=torch.float64)
    if logits == 2:  # the first does not know the second token
        costs[:, 0] = costs[:, 0].reshape(4, 4)[:, :1].expand(4, 4).reshape(-1)

    def gradient(loss):
        return torch.autograd.grad(loss, g.to_logits.weight)[0]

    p = g.token_log_likelihood(lines_).sum(1).exp()
    expected = gradient((p * (costs.sum(1) if logits == 2 else costs.mean(1))).sum())
    n = 60_000
    picked = torch.multinomial(p.detach(), n, replacement=True, generator=keyed_rng("pick"))
    x = torch.nn.functional.one_hot(lines_[picked], 4).double()
    found = gradient(2 * g.policy_loss(x, None, costs[picked], torch.ones(n, logits)).mean())
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.006)


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"estimator": "exact"}, "one of soft, straight_through, reinforce; got 'exact'"),
        (
            {"inverse_temperature": 0.0},
            "inverse_temperature must be a finite number above 0; got 0.0",
        ),
        ({"schedule": "steps"}, "schedule must be one of exponential"),
    ],
)
def test_unknown_names_are_refused(wrong, answer):
    with pytest.raises(ValueError, match=answer):
        generator(**wrong)


def test_a_tied_generator_reads_and_writes_with_one_table():
    g = generator(tie_embeddings=True)
    assert g.to_logits.weight is g.embedding.weight
    assert [
        name for name, _ in g.named_parameters() if name.startswith(("embedding", "to_logits"))
    ] == ["embedding.weight", "to_logits.bias"]


def sampled_tokens():
    g = generator("relational")
    return g.generate(g.sample_latent(20, keyed_rng(7))).tolist()


def test_the_same_seed_gives_the_same_tokens_in_another_process():
    assert in_another_process(sampled_tokens) == sampled_tokens()
