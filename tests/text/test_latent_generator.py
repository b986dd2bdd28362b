"""A latent of the whole line: bounds of the likelihood, samples, interpolation, collapse."""

import itertools
import math

import numpy as np
import pytest
import torch

from multigan.core.fitting import build_with_seed
from multigan.core.interpolation import interpolation_frames
from multigan.core.protocols import (
    Batch,
    Generator,
    Sampler,
    SupportsInterpolation,
    SupportsLikelihood,
)
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.text.metrics.latent_use import COLLAPSED, describe_latent_use, latent_use
from multigan.text.models import line_encoder
from multigan.text.models.build import build_generator
from multigan.text.models.generator import TextGenerator
from multigan.text.models.latent_generator import LatentTextGenerator, LineLatent
from multigan.text.models.line_encoder import Posterior
from tests.text.networks import (
    BACKBONES,
    LABELS,
    LENGTH,
    VOCABULARY,
    cnn,
    generator,
    given,
    latent_generator,
    lines,
    one_hot,
    redrawn,
    step_by_step,
)
from tests.text.special_ids import PAD
from tests.text.tiny import tiny_lines

every_backbone = pytest.mark.parametrize("backbone", BACKBONES)
TOKENS = torch.tensor(list(itertools.product(range(4), repeat=2)))  # all lines of two of four


def tiny(**arguments):
    """A generator of two tokens out of four, with a latent of one number, in float64."""
    sizes = {"embedding": 3, "width": 4, "fixed_length": True, "latent_dim": 1, "encoder_width": 3}
    return redrawn(LatentTextGenerator(4, 2, **sizes | arguments), 1.0).double()


def given_z(g, tokens, z):
    """log p(line | z) (B,) for z (B, 1)."""
    return g._log_probabilities(tokens, None, g._vector_of(z, None)).sum(1)


def quadrature():
    """Nodes and weights of the standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return torch.tensor(nodes), torch.tensor(weights / weights.sum())


@torch.no_grad()
def exact(g):
    """log p(line) (16,), z integrated out."""
    nodes, weights = quadrature()
    p = [given_z(g, TOKENS, node.expand(16, 1)).exp() for node in nodes]
    return (torch.stack(p) * weights[:, None]).sum(0).log()


def tiny_text_sampler(**settings):
    domain = tiny_lines().domain
    sizes = {"width": 16, "embedding": 8, "latent_dim": 4, "encoder_width": 8} | settings
    g = build_with_seed(
        lambda: LatentTextGenerator(domain.vocabulary_size, domain.length, **sizes), keyed_rng(0)
    )
    return Sampler(domain, redrawn(g).eval())


@every_backbone
def test_a_generator_keeps_the_contract(backbone):
    g = latent_generator(backbone)
    for protocol in (Generator, SupportsInterpolation, SupportsLikelihood):
        assert isinstance(g, protocol)
    latent = g.sample_latent(5, keyed_rng(0))
    assert latent.z.shape == (5, 3)
    for mode in (g.train(), g.eval()):
        x = mode(latent)
        assert x.shape == (5, LENGTH, VOCABULARY)
        torch.testing.assert_close(x.sum(-1), torch.ones(5, LENGTH))


def test_probabilities_of_all_lines_sum_to_one():
    assert float(exact(tiny()).exp().sum()) == pytest.approx(1, abs=1e-9)


@torch.no_grad()
def test_the_importance_weighted_bound_is_unbiased_and_below_the_likelihood(monkeypatch):
    g, found = tiny(importance_samples=4).eval(), []
    for number in range(600):
        monkeypatch.setattr(line_encoder, "keyed_rng", lambda key, n=number: keyed_rng(key, n))
        found.append(g.log_likelihood(Batch(TOKENS)))
    bounds, truth = torch.stack(found), exact(g)
    error = bounds.exp().std(0) / len(bounds) ** 0.5
    assert ((bounds.exp().mean(0) - truth.exp()).abs() < 4.5 * error).all()
    assert (bounds.mean(0) < truth).all()


@torch.no_grad()
def test_the_bound_approaches_the_likelihood_with_more_samples():
    gaps = []
    for count in (2, 20_000):
        g = tiny(importance_samples=count).eval()
        gaps.append((exact(g) - g.log_likelihood(Batch(TOKENS))).abs().max())
    assert gaps[1] < 0.05 < gaps[0]


@torch.no_grad()
def test_the_loss_of_training_is_the_evidence_lower_bound():
    g = tiny(free_bits=0.0, word_dropout=0.0).train()
    nodes, weights = quadrature()
    posterior = g.encode_lines(TOKENS)
    under_q = [
        w * given_z(g, TOKENS, posterior.sample(node.expand(16, 1)))
        for node, w in zip(nodes, weights, strict=True)
    ]
    bound = sum(under_q) - posterior.divergence().sum(1)
    assert (bound < exact(g)).all()
    n = 4000
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        values = g.log_likelihood(Batch(TOKENS.repeat(n, 1))).reshape(n, 16)
    assert ((values.mean(0) - bound).abs() < 4.5 * values.std(0) / n**0.5).all()


def test_the_divergence_is_that_of_gaussians():
    q = Posterior(torch.tensor([[0.5, 0.0]]), torch.tensor([[math.log(4.0), 0.0]]))
    expected = 0.5 * (4 + 0.25 - 1 - math.log(4))
    torch.testing.assert_close(q.divergence(), torch.tensor([[expected, 0.0]]))
    own = torch.distributions.Normal(0.5, 2.0).log_prob(torch.tensor(1.7))
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(1.7))
    torch.testing.assert_close(q.log_ratio(torch.tensor([[1.7, 3.0]]))[0], own - prior)


def test_divergence_below_the_free_bits_costs_the_same_and_has_no_gradient():
    g = tiny(free_bits=50.0, word_dropout=0.0).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        free = g.log_likelihood(Batch(TOKENS))
        torch.manual_seed(0)
        g.free_bits = 0.0
        paid = g.log_likelihood(Batch(TOKENS))
    divergence = g.encode_lines(TOKENS).divergence().sum(1)
    torch.testing.assert_close(free + 50, paid + divergence)
    own = list(g.encoder.parameters())
    of_free, of_reconstruction = (
        torch.autograd.grad(bound.sum(), own) for bound in (free, paid + divergence)
    )
    torch.testing.assert_close(of_free, of_reconstruction)


def test_the_bound_in_eval_has_no_randomness_and_does_not_depend_on_the_batch():
    g = latent_generator(dropout=0.5, num_classes=LABELS, encoder_width=6).double()
    batch = Batch(one_hot(lines(6)), given(6))
    assert not torch.equal(g.train().log_likelihood(batch), g.log_likelihood(batch))
    found = g.eval().log_likelihood(batch)
    assert torch.equal(found, g.log_likelihood(batch))
    one = Batch(lines(6)[4:5], type(batch.condition)(*(leaf[4:5] for leaf in batch.condition)))
    torch.testing.assert_close(g.log_likelihood(one), found[4:5])


def test_the_shares_of_tokens_sum_to_the_bound_and_are_0_where_nothing_is_free():
    g, condition, tokens = latent_generator(num_classes=LABELS).double().eval(), given(6), lines(6)
    tokens = torch.where(condition.prompt != PAD, condition.prompt, tokens)
    found = g.token_log_likelihood(tokens, condition)
    free = ~g._is_given(tokens, condition)
    assert (found[~free] == 0).all() and (found[free] != 0).all()
    torch.testing.assert_close(found.sum(1), g.log_likelihood(Batch(tokens, condition)))


@every_backbone
@pytest.mark.parametrize("estimator", ["soft", "straight_through"])
def test_values_and_gradients_equal_those_of_the_loop(backbone, estimator):
    g = latent_generator(backbone, estimator=estimator, num_classes=LABELS, schedule="constant")
    g, d = g.double().train(), cnn().double()
    latent, condition, found = g.sample_latent(5, keyed_rng("latent")), given(5), {}
    for name, lines_of in (("passes", g), ("loop", lambda *a: step_by_step(g, *a))):
        g.zero_grad()
        x = lines_of(latent, condition)
        d(x).square().sum().backward()
        gradients = {k: p.grad.clone() for k, p in g.named_parameters() if p.grad is not None}
        found[name] = gradients | {"x": x.detach()}
    assert found["passes"].keys() == found["loop"].keys() and "from_latent.weight" in found["loop"]
    for name, value in found["loop"].items():
        scale = 1e-9 * float(value.abs().max()) + 1e-12
        torch.testing.assert_close(found["passes"][name], value, rtol=1e-9, atol=scale, msg=name)


def test_the_tokens_of_train_and_eval_are_the_same():
    g = latent_generator("relational", num_classes=LABELS)
    latent, condition = g.sample_latent(40, keyed_rng(1)), given(40)
    assert torch.equal(g.train()(latent, condition), g.eval()(latent, condition))


@every_backbone
def test_every_parameter_has_a_gradient_of_the_likelihood(backbone):
    g = latent_generator(backbone, num_classes=LABELS, free_bits=0.0).train()
    g.log_likelihood(Batch(one_hot(lines(8)), given(8))).sum().backward()
    dead = [name for name, p in g.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_the_gradient_of_the_policy_loss_is_that_of_the_expected_cost_given_z():
    """Two values of z, each for half of the lines."""
    g, n = tiny(estimator="reinforce", discount=1.0), 60_000
    costs = torch.randn(16, 1, generator=keyed_rng("c"), dtype=torch.float64)
    z = torch.tensor([[-1.0], [1.5]], dtype=torch.float64)
    p = [given_z(g, TOKENS, row.expand(16, 1)).exp() for row in z]
    parameters = [g.to_logits.weight, g.from_latent.weight]
    expected = torch.autograd.grad(sum((q * costs[:, 0]).sum() for q in p) / 2, parameters)
    picked = torch.stack(
        [torch.multinomial(q.detach(), n, True, generator=keyed_rng(k)) for k, q in enumerate(p)]
    ).flatten()
    none = torch.zeros(2 * n, 2), torch.zeros(2 * n, dtype=torch.int64)
    latent = LineLatent(*none, z.repeat_interleave(n, 0))
    x = torch.nn.functional.one_hot(TOKENS[picked], 4).double()
    loss = 2 * g.policy_loss(x, None, costs[picked], torch.ones(2 * n, 1), latent=latent).mean()
    for found, truth in zip(torch.autograd.grad(loss, parameters), expected, strict=True):
        torch.testing.assert_close(found, truth, rtol=0.05, atol=0.01)


def test_a_policy_loss_without_its_latent_is_refused():
    g = tiny(estimator="reinforce")
    x = torch.nn.functional.one_hot(TOKENS, 4).double()
    with pytest.raises(ValueError, match="latent must be the one that made the lines; got None"):
        g.policy_loss(x, None, torch.ones(16, 1), torch.ones(16, 1))


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"latent_dim": 0}, "latent_dim must be 1 or more; got 0"),
        ({"free_bits": -1.0}, "free_bits must be a finite number, 0 or more; got -1.0"),
        ({"free_bits": math.inf}, "free_bits must be a finite number, 0 or more; got inf"),
        ({"word_dropout": 1.0}, "word_dropout must be from 0 to below 1; got 1.0"),
        ({"importance_samples": 3}, "importance_samples must be even, 2 or more; got 3"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong, answer):
    with pytest.raises(ValueError, match=answer):
        latent_generator(**wrong)


def test_lines_at_the_same_quantiles_change_with_z_alone():
    g = latent_generator().eval()
    a, b = (g.sample_latent(100, keyed_rng(k)) for k in "ab")
    assert torch.equal(g(a), g(a._replace(z=a.z.clone())))
    changed = g.generate(a) != g.generate(a._replace(z=b.z))
    assert float(changed.any(1).float().mean()) > 0.2
    with torch.no_grad():
        g.from_latent.weight.zero_()
    assert torch.equal(g.generate(a), g.generate(a._replace(z=b.z)))


def test_a_path_starts_and_ends_at_its_ends_and_changes_z_alone():
    g = latent_generator()
    a, b = (g.sample_latent(4, keyed_rng(k)) for k in "ab")
    assert torch.equal(g.interpolate(a, b, 0.0).z, a.z)
    assert torch.equal(g.interpolate(a, b, 1.0).z, b.z)
    middle = g.interpolate(a, b, 0.5)
    torch.testing.assert_close(middle.z.norm(dim=1), (a.z.norm(dim=1) + b.z.norm(dim=1)) / 2)
    assert torch.equal(middle.uniform, a.uniform) and torch.equal(middle.seed, a.seed)


def test_paths_of_lines_lead_from_one_sample_to_the_next():
    sampler = tiny_text_sampler()
    frames = interpolation_frames(sampler, num_paths=3, num_steps=4, temperature=0.5)
    assert [len(frame) for frame in frames] == [3] * 4
    assert frames[0] == sampler.domain.sample(
        sampler.generator, 3, keyed_rng(0, "interpolate"), temperature=0.5
    )
    assert frames[0] != frames[-1]
    scored = interpolation_frames(
        sampler, num_paths=3, num_steps=4, temperature=0.5, log_probabilities=True
    )
    assert scored == frames and len(scored[1][2].log_probabilities) > 0


def test_a_sample_does_not_depend_on_the_number_of_samples():
    sampler = tiny_text_sampler()
    assert sampler.sample(70)[:3] == sampler.sample(3)


def test_all_options_of_sampling_work(tmp_path):
    sampler = tiny_text_sampler()
    lines_ = sampler.sample(4, prompt="the dog", temperature=0.5, top_k=9, log_probabilities=True)
    assert all(line.startswith("the dog") for line in lines_)
    assert all(math.isfinite(line.log_probability) for line in lines_)
    copies = tmp_path / "lines.txt"
    copies.write_text("\n".join(sampler.sample(4, seed=1)))
    assert not set(sampler.sample(4, seed=1, avoid_copies=copies)) & set(
        copies.read_text().split("\n")
    )
    assert len(set(sampler.sample(8, temperature=0.0))) > 1  # the likeliest line of each z


def test_arguments_and_weights_come_back():
    g = latent_generator(num_classes=LABELS, free_bits=0.5)
    again = from_config(to_config(g))
    again.load_state_dict(g.state_dict())
    latent = g.sample_latent(4, keyed_rng(0))
    assert type(again) is LatentTextGenerator and again.free_bits == 0.5
    assert torch.equal(again.eval()(latent, given(4)), g.eval()(latent, given(4)))


def test_without_a_latent_the_generator_and_its_random_stream_are_the_plain_ones():
    sizes = {"embedding": 5, "width": 8}
    plain, built, latent = (
        build_with_seed(build, keyed_rng("w"))
        for build in (
            lambda: TextGenerator(VOCABULARY, LENGTH, **sizes),
            lambda: build_generator("lstm", VOCABULARY, LENGTH, 0, latent_dim=0, **sizes),
            lambda: build_generator("lstm", VOCABULARY, LENGTH, 0, latent_dim=2, **sizes),
        )
    )
    assert to_config(built) == to_config(plain) and type(built) is TextGenerator
    weights = plain.state_dict()
    for g in (built, latent):  # the modules of the latent are initialized last
        assert all(torch.equal(g.state_dict()[name], value) for name, value in weights.items())
    rng = keyed_rng("latent")
    stream = torch.rand(5, LENGTH, generator=rng), torch.randint(2**62, (5,), generator=rng)
    for g in (plain, built, latent):
        found = g.sample_latent(5, keyed_rng("latent"))
        assert torch.equal(found.uniform, stream[0]) and torch.equal(found.seed, stream[1])


@torch.no_grad()
def test_an_evaluation_measures_the_use_of_the_latent():
    data, g = tiny_lines(), tiny_text_sampler().generator
    row = latent_use(g, data.split("valid"), keyed_rng(0))
    held = data.split("valid")
    posterior = g.encode_lines(held.batch(torch.arange(len(held))).x.argmax(-1))
    assert row["latent_kl"] == pytest.approx(float(posterior.divergence().sum(1).mean()), rel=1e-4)
    assert row["latent_active"] == float((posterior.mean.var(0) > 0.01).sum()) > 0
    assert 0 < row["latent_changed"] <= 1
    (note,) = describe_latent_use(row)
    assert COLLAPSED not in note


def test_a_collapsed_latent_is_called_ignored():
    data, g = tiny_lines(), tiny_text_sampler().generator
    with torch.no_grad():
        for part in (g.encoder.to_posterior, g.from_latent):
            part.weight.zero_()
            part.bias.zero_()
    row = latent_use(g, data.split("valid"), keyed_rng(0))
    assert row == {"latent_kl": 0.0, "latent_active": 0.0, "latent_changed": 0.0}
    (note,) = describe_latent_use(row)
    assert note.startswith("the latent is ignored (posterior collapse); ")


@pytest.mark.parametrize(
    ("kl", "active", "is_ignored"), [(0.09, 3, True), (5.0, 0, True), (0.11, 1, False)]
)
def test_either_a_small_divergence_or_no_active_entry_is_a_collapse(kl, active, is_ignored):
    row = {"latent_kl": kl, "latent_active": active, "latent_changed": 0.8}
    assert (COLLAPSED in describe_latent_use(row)[0]) == is_ignored


def test_a_generator_without_such_a_latent_has_no_figures_of_it():
    assert latent_use(generator(), None, keyed_rng(0)) == {} and describe_latent_use({}) == ()
