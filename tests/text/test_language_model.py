"""The helper language model: what it scores, and that padding counts for nothing."""

import math

import pytest
import torch
from torch.nn import functional as F

from multigan.core.rng import keyed_rng
from multigan.text.metrics.language_model import (
    LanguageModel,
    features,
    score,
    train_language_model,
)
from tests.text.special_ids import BOS, EOS, PAD

LINES = torch.tensor([[4, 5, EOS, PAD], [5, 4, 5, EOS]]).repeat(40, 1)


def model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LanguageModel(6).eval()


def test_each_token_is_scored_by_the_state_before_it():
    network = model()
    with torch.no_grad():
        for line in LINES[:2]:
            nll = network(line[None])[0]
            for t in range(int((line != PAD).sum())):
                before = torch.tensor([[BOS, *line[:t].tolist()]])
                state = network.lstm(network.embedding(before))[0][0, -1]
                logits = F.linear(
                    network.to_embedding(state), network.embedding.weight, network.bias
                )
                assert nll[t] == pytest.approx(-logits.log_softmax(0)[line[t]].item(), rel=1e-5)
            assert (nll[line == PAD] == 0).all()


def test_a_score_is_the_mean_over_tokens_that_are_no_padding():
    network = model()
    found = score(network, LINES)
    assert found.tokens == 40 * 7
    assert found.per_token == pytest.approx(network(LINES).sum().item() / found.tokens, rel=1e-5)
    wider = F.pad(LINES, (0, 3), value=PAD)
    assert score(network, wider).per_token == pytest.approx(found.per_token, rel=1e-6)
    torch.testing.assert_close(features(network, wider), features(network, LINES))


def test_training_comes_near_the_entropy_of_the_lines():
    network = train_language_model(LINES.repeat(20, 1), 6, keyed_rng(0))
    # Two equally likely lines of 3 and 4 tokens, told apart by their first: ln 2 for 3.5 tokens.
    assert score(network, LINES).per_token == pytest.approx(math.log(2) / 3.5, abs=0.02)


def test_equal_arguments_give_equal_models_and_leave_the_global_stream_alone():
    before = torch.get_rng_state()
    one, again, other = (train_language_model(LINES, 6, keyed_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.bias, again.bias) and not torch.equal(one.bias, other.bias)
    assert torch.equal(torch.get_rng_state(), before)


def test_features_of_equal_lines_are_equal_and_others_differ():
    found = features(model(), LINES[:4])
    assert found.shape == (4, 64) and found.dtype == torch.float64
    torch.testing.assert_close(found[0], found[2])
    assert (found[0] - found[1]).abs().max() > 1e-3
