import math

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.text.models.gumbel_softmax import (
    SCHEDULES,
    get_schedule,
    gumbel_given_argmax,
    gumbel_noise,
    soft_relaxation,
    straight_through,
)
from multigan.text.models.token_sampling import sample_tokens
from multigan.text.tokenization.tokenizer import one_hot

N = 40_000
LOGITS = torch.tensor([0.3, -1.0, 1.2, 0.0, -2.0], dtype=torch.float64)


def drawn(n=N):
    """Logits, tokens drawn from them, and fresh noise, (n, 5) and (n,)."""
    logits = LOGITS.expand(n, -1)
    tokens = sample_tokens(logits, torch.rand(n, generator=keyed_rng("u")))
    return logits, tokens, gumbel_noise(torch.tensor([3]), torch.tensor([n]), 5, logits)


def chi_square(counts, shares):
    expected = shares * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_noise_given_its_argmax_has_the_drawn_tokens_as_argmax():
    logits, tokens, noise = drawn()
    z = gumbel_given_argmax(logits, tokens, noise)
    assert torch.equal(z.argmax(1), tokens)
    counts = torch.bincount(z.argmax(1), minlength=5).double()
    assert chi_square(counts, LOGITS.softmax(0)) < 18.5  # 4 degrees of freedom, p = .001


def test_noise_after_its_argmax_is_gumbel_noise_again():
    logits, tokens, noise = drawn()
    g = (gumbel_given_argmax(logits, tokens, noise) - logits).sort(0).values
    cumulative = torch.exp(-torch.exp(-g))
    distance = (cumulative - (torch.arange(N)[:, None] + 0.5) / N).abs().amax(0)
    assert float(distance.max()) < 1.95 / math.sqrt(N)  # Kolmogorov-Smirnov, p = .001
    correlation = torch.corrcoef((gumbel_given_argmax(logits, tokens, noise) - logits).T)
    assert float((correlation - torch.eye(5)).abs().max()) < 0.025


def test_noise_of_a_sample_follows_from_its_seed_alone():
    like = torch.zeros(())
    both = gumbel_noise(torch.tensor([7, 8]), torch.tensor([2, 3]), 4, like)
    torch.testing.assert_close(
        both[2:], gumbel_noise(torch.tensor([8]), torch.tensor([3]), 4, like)
    )
    torch.testing.assert_close(
        both[2:4], gumbel_noise(torch.tensor([8]), torch.tensor([2]), 4, like)
    )
    assert torch.isfinite(gumbel_noise(torch.tensor([1]), torch.tensor([1]), 3_000_000, like)).all()


def test_straight_through_is_one_hot_to_the_last_bit_with_the_gradient_of_soft():
    logits, tokens, noise = (part[:50].clone() for part in drawn())
    weights = torch.randn(50, 5, generator=keyed_rng("w"), dtype=torch.float64)
    gradients = []
    for relax in (soft_relaxation, straight_through):
        logits.grad = None
        logits.requires_grad_()
        x = relax(
            logits, tokens, torch.ones_like(tokens, dtype=torch.bool), noise, torch.tensor(3.0)
        )
        (x * weights).sum().backward()
        gradients.append(logits.grad)
    assert torch.equal(x, one_hot(tokens, 5, x))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-15)


def test_tokens_that_are_not_free_stay_and_no_gradient_comes_through_them():
    logits, tokens, noise = (part[:2].clone() for part in drawn())
    line = torch.stack([tokens[0], tokens[1], tokens[0]])
    free = torch.tensor([True, False, True])
    for relax in (soft_relaxation, straight_through):
        logits.grad = None
        x = relax(logits.requires_grad_(), line, free, noise, torch.tensor(3.0))
        assert torch.equal(x[1], one_hot(line, 5, x)[1])
        (x[1] * torch.arange(5.0)).sum().backward(retain_graph=True)
        assert not logits.grad.any()
        x[2, 0].backward()
        assert logits.grad[1].any() and not logits.grad[0].any()


def test_the_gradient_of_soft_is_the_inverse_temperature_times_that_of_a_softmax():
    logits, tokens, noise = (part[:1].clone() for part in drawn())
    x = soft_relaxation(
        logits.requires_grad_(),
        tokens,
        torch.ones_like(tokens, dtype=torch.bool),
        noise,
        torch.tensor(3.0),
    )
    (row,) = torch.autograd.grad(x[0, 2], logits)
    y = x.detach()[0]
    expected = 3.0 * (y[2] * torch.eye(5, dtype=torch.float64)[2] - y[2] * y)
    torch.testing.assert_close(row[0], expected)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_ends_at_its_end_and_never_falls(name):
    schedule = get_schedule(name)
    values = [schedule(50.0, i / 10) for i in range(11)]
    assert values[-1] == pytest.approx(50, rel=1e-4) and sorted(values) == values
    assert values[0] == pytest.approx(50 if name == "constant" else 1, rel=3e-3)


def test_schedules_are_those_of_the_paper():
    """At step i = 300 of n = 1,000, b = 100, computed by hand from the published formulas."""
    share = 300 / 999
    expected = {
        "exponential": 100**share,
        "linear": 1 + 99 * share,
        "logarithmic": 1 + 99 * math.log(301) / math.log(1000),
        "sigmoid": 1 + 99 / (1 + math.exp(10 - 20 * share)),
        "quadratic": 1 + 99 * share**2,
        "square_root": 1 + 99 * math.sqrt(share),
    }
    for name, value in expected.items():
        assert get_schedule(name)(100.0, share) == pytest.approx(value), name
    with pytest.raises(ValueError, match="schedule must be one of exponential"):
        get_schedule("cosine")
