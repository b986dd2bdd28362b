"""Two passes, one without a graph, give what one loop with a graph gives."""

import pytest
import torch

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from tests.text.networks import (
    BACKBONES,
    LABELS,
    LENGTH,
    VOCABULARY,
    cnn,
    generator,
    given,
    lines,
    one_hot,
    step_by_step,
)

every_backbone = pytest.mark.parametrize("backbone", BACKBONES)
every_relaxation = pytest.mark.parametrize("estimator", ["soft", "straight_through"])
SITUATIONS = {
    "free lines": ({}, None),
    "prompts and classes": ({"num_classes": LABELS}, given(5)),
    "a fixed length": ({"fixed_length": True}, None),
    "no early end": ({"min_length": 4}, None),
    "one table": ({"tie_embeddings": True}, None),
}


@every_backbone
@every_relaxation
@pytest.mark.parametrize("situation", SITUATIONS)
def test_values_and_gradients_equal_those_of_the_loop(backbone, estimator, situation):
    arguments, condition = SITUATIONS[situation]
    g = generator(
        backbone, estimator=estimator, inverse_temperature=3.0, schedule="constant", **arguments
    )
    g, d = g.double().train(), cnn(fixed_length=g.fixed_length).double()
    latent = g.sample_latent(5, keyed_rng("latent"))
    found = {}
    for name, lines_of in (("passes", g), ("loop", lambda *a: step_by_step(g, *a))):
        g.zero_grad()
        x = lines_of(latent, condition)
        d(x).square().sum().backward()
        gradients = {k: p.grad.clone() for k, p in g.named_parameters() if p.grad is not None}
        found[name] = gradients | {"x": x.detach()}
    assert found["passes"].keys() == found["loop"].keys() and len(found["loop"]) > 5
    for name, value in found["loop"].items():
        scale = 1e-9 * float(value.abs().max()) + 1e-12
        torch.testing.assert_close(found["passes"][name], value, rtol=1e-9, atol=scale, msg=name)


@every_backbone
def test_steps_with_a_cache_equal_one_pass_without(backbone):
    body = generator(backbone).double().backbone
    x = torch.randn(3, LENGTH, 5, generator=keyed_rng("x"), dtype=torch.float64)
    state, found = body.initial_state(x[:, 0]), []
    for t in range(LENGTH):
        h, state = body.step(x[:, t], state)
        found.append(h)
    torch.testing.assert_close(
        torch.stack(found, 1), body.forward_sequence(x), rtol=1e-12, atol=1e-12
    )


@every_relaxation
def test_the_tokens_of_train_and_eval_are_the_same(estimator):
    g = generator("relational", estimator=estimator, num_classes=LABELS)
    latent, condition = g.sample_latent(40, keyed_rng(1)), given(40)
    trained = g.train()(latent, condition)
    assert torch.equal(trained.argmax(-1), g.eval()(latent, condition).argmax(-1))
    if estimator == "straight_through":
        assert torch.equal(trained, g.eval()(latent, condition))
    with torch.no_grad():
        torch.testing.assert_close(g.train()(latent, condition), trained.detach())


@torch.no_grad()
def test_the_likelihood_of_tokens_is_that_of_the_steps_that_draw_them():
    g = generator("transformer", num_classes=LABELS).double()
    tokens, condition = lines(5), given(5)
    found = g.token_log_likelihood(tokens, condition, temperature=0.7)
    for b in range(5):
        before, state, ended = 1, None, False
        for t in range(LENGTH):
            x = g.embedding.weight[before][None] + g.label.weight[condition.label[b]]
            h, state = g.backbone.step(x, g.backbone.initial_state(x) if state is None else state)
            logits = g.to_logits(h)[0]
            logits[[0, 1]] = -torch.inf
            expected = torch.log_softmax(logits / 0.7, 0)[tokens[b, t]]
            free = not ended and condition.prompt[b, t] == 0
            assert float(found[b, t]) == pytest.approx(float(expected) if free else 0.0, abs=1e-9)
            before = int(tokens[b, t])
            ended = ended or before == 2
    whole = g.eval().log_likelihood(Batch(one_hot(tokens), condition))
    torch.testing.assert_close(whole, g.token_log_likelihood(tokens, condition).sum(1))


@torch.no_grad()
def test_probabilities_of_all_lines_of_two_tokens_sum_to_one():
    g = generator(fixed_length=True).double()
    g.length = 2
    pairs = torch.cartesian_prod(torch.arange(VOCABULARY), torch.arange(VOCABULARY))
    assert float(g.token_log_likelihood(pairs).sum(1).exp().sum()) == pytest.approx(1, abs=1e-12)
