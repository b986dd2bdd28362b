import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.text.models.token_sampling import (
    MASKED_LOGIT,
    check_controls,
    filter_logits,
    sample_tokens,
)

SHARES = torch.tensor([0.1, 0.4, 0.2, 0.3])
LOGITS = SHARES.log()[None]


def allowed(**controls):
    found = filter_logits(LOGITS, **{"temperature": 1.0, **controls})
    return (found > MASKED_LOGIT / 2).squeeze(0).nonzero().flatten().tolist()


def test_tokens_are_drawn_as_often_as_their_probability():
    n = 40_000
    tokens = sample_tokens(LOGITS.expand(n, -1), torch.rand(n, generator=keyed_rng(0)))
    counts = torch.bincount(tokens, minlength=4).double()
    assert float(((counts - n * SHARES) ** 2 / (n * SHARES)).sum()) < 16.3  # p = .001


def test_a_place_in_the_cumulative_sum_is_one_token():
    places = torch.tensor([0.0, 0.05, 0.11, 0.49, 0.51, 0.69, 0.71, 1 - 2**-24])
    assert sample_tokens(LOGITS.expand(8, -1), places).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_may_never_be_drawn_is_not_drawn_at_the_ends_either():
    logits = LOGITS.clone()
    logits[0, [0, 3]] = MASKED_LOGIT
    assert sample_tokens(logits.expand(2, -1), torch.tensor([0.0, 1 - 2**-24])).tolist() == [1, 2]


def test_top_k_and_top_p_keep_the_likeliest():
    assert allowed() == [0, 1, 2, 3]
    assert allowed(top_k=2) == [1, 3] and allowed(top_k=9) == [0, 1, 2, 3]
    assert allowed(top_p=0.4) == [1] and allowed(top_p=0.41) == [1, 3]
    assert allowed(top_p=0.71) == [1, 2, 3] and allowed(top_p=1e-9) == [1]
    assert allowed(top_k=3, top_p=0.7) == [1, 3]


def test_a_temperature_divides_the_logits():
    torch.testing.assert_close(filter_logits(LOGITS, 0.5).softmax(-1)[0], SHARES**2 / 0.3)
    assert filter_logits(LOGITS, 1e-4).softmax(-1)[0, 1] == 1


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"temperature": 0.0}, "temperature must be .* got 0.0"),
        ({"temperature": float("nan")}, "temperature must be .* got nan"),
        ({"temperature": float("inf")}, "temperature must be .* got inf"),
        ({"top_k": -1}, "top_k must be .* got -1"),
        ({"top_p": 0.0}, "top_p must be .* got 0.0"),
        ({"top_p": 1.1}, "top_p must be .* got 1.1"),
    ],
)
def test_controls_out_of_range_are_refused_by_name(wrong, answer):
    with pytest.raises(ValueError, match=answer):
        check_controls(**{"temperature": 1.0, "top_k": 0, "top_p": 1.0} | wrong)
