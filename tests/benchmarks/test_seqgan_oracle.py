import math
from pathlib import Path

import numpy as np
import pytest
import torch

from multigan.benchmarks.seqgan_oracle import (
    VOCABULARY_SIZE,
    Oracle,
    OracleDataset,
    OracleDomain,
    heldout_nll,
    read_oracle_weights,
    seeded_weights,
)
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.text.models.generator import TextGenerator
from tests.run_helpers import REPOSITORY

OFFICIAL = REPOSITORY.parent / "shared" / "data" / "oracle"
needs_official = pytest.mark.skipif(
    not OFFICIAL.is_dir(), reason=f"the official weights are not in {OFFICIAL}"
)
COUNTING = torch.arange(20)[None]
HUNDREDS = torch.arange(100, 2001, 100)[None]


@needs_official
def test_the_official_oracle_gives_the_known_likelihoods():
    oracle = Oracle(str(OFFICIAL)).double()
    assert oracle.nll(COUNTING) == pytest.approx(11.61224, abs=1e-5)
    assert oracle.nll(HUNDREDS) == pytest.approx(11.66154, abs=1e-5)
    assert float(oracle.token_nll(COUNTING)[0, 0]) == pytest.approx(12.34765, abs=1e-5)


@needs_official
def test_the_official_oracles_own_entropy_is_the_published_one():
    oracle = Oracle(str(OFFICIAL))
    assert oracle.nll(oracle.sample(2000, 20, keyed_rng(0))) == pytest.approx(5.75, abs=0.02)


def by_the_book(weights, tokens):
    """Mean NLL of one line (T,), with an LSTM of torch's own that is given the weights."""
    lstm = torch.nn.LSTM(32, 32, batch_first=True).double()
    order = ("i", "f", "c", "og")  # torch's
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.cat([weights[f"w{g}"].T for g in order]))
        lstm.weight_hh_l0.copy_(torch.cat([weights[f"u{g}"].T for g in order]))
        lstm.bias_ih_l0.copy_(torch.cat([weights[f"b{g}"] for g in order]))
        lstm.bias_hh_l0.zero_()
        before = torch.cat([torch.zeros(1, dtype=torch.int64), tokens[:-1]])
        h = lstm(weights["embedding"].double()[before][None])[0][0]
        logits = h @ weights["wo"].double() + weights["bo"].double()
    return float(torch.nn.functional.cross_entropy(logits, tokens))


def test_a_seeded_oracle_is_torchs_lstm_with_standard_normal_weights():
    weights = seeded_weights(3)
    assert torch.cat([w.flatten() for w in weights.values()]).std() == pytest.approx(1, abs=0.01)
    oracle = Oracle(seed=3).double()
    for tokens in (COUNTING, HUNDREDS):
        assert oracle.nll(tokens) == pytest.approx(by_the_book(weights, tokens[0]), abs=1e-5)
    assert oracle.nll(COUNTING) != Oracle(seed=4).double().nll(COUNTING)


def test_a_seeded_oracle_surprises_itself_less_than_anyone_else():
    oracle = Oracle(seed=1)
    lines = oracle.sample(1000, 20, keyed_rng(0))
    own = oracle.nll(lines)
    assert 5.7 < own < 6.2
    assert own < Oracle(seed=2).nll(lines) - 2


def test_lines_are_the_same_again_and_other_ones_in_each_split():
    assert len(OracleDataset(length=1).split("test")) == 10_000
    lines = OracleDataset(length=4, seed=5, size=500)
    assert len(lines) == 500
    assert torch.equal(lines.tokens, OracleDataset(length=4, seed=5, size=500).tokens)
    valid, test = lines.split("valid"), lines.split("test")
    assert (len(valid), len(test)) == (100, 500)
    assert len({lines.fingerprint, valid.fingerprint, test.fingerprint}) == 3
    x = lines.batch(torch.tensor([2, 0])).x
    assert x.shape == (2, 4, VOCABULARY_SIZE) and torch.equal(x.argmax(-1), lines.tokens[[2, 0]])
    assert torch.equal(x.sum(-1), torch.ones(2, 4))


def test_both_likelihoods_stand_beside_the_floor(tmp_path):
    generator = TextGenerator(VOCABULARY_SIZE, 4, embedding=8, width=8, fixed_length=True)
    data = OracleDataset(length=4, seed=5, size=5000, split="valid")
    table = data.domain.evaluate(Sampler(data.domain, generator), data, keyed_rng(0), tmp_path)
    assert list(table.rows) == ["oracle (floor)", "uniform", "generator"]
    floor, uniform, model = table.rows.values()
    assert floor["nll_oracle"] == pytest.approx(floor["nll_held_out"], abs=0.15)
    assert uniform["nll_held_out"] == pytest.approx(math.log(5000))
    assert model["nll_held_out"] == pytest.approx(uniform["nll_held_out"], abs=0.2)
    assert model["nll_oracle"] == pytest.approx(uniform["nll_oracle"], abs=0.2)
    assert model["selection_score"] == pytest.approx(model["nll_oracle"] + model["nll_held_out"])
    assert data.domain.selection_metric in model and "seed 5" in table.notes[0]


def test_the_held_out_nll_of_uniform_tokens_is_the_logarithm_of_their_number():
    generator = TextGenerator(VOCABULARY_SIZE, 4, embedding=8, width=8, fixed_length=True)
    torch.nn.init.zeros_(generator.to_logits.weight)
    torch.nn.init.zeros_(generator.to_logits.bias)
    data = OracleDataset(length=4, seed=5, size=5000, split="valid")
    assert heldout_nll(generator, data) == pytest.approx(math.log(5000), abs=1e-5)


def test_samples_are_lines_of_numbers_that_can_be_read_back(tmp_path):
    domain = OracleDomain(length=4)
    generator = TextGenerator(VOCABULARY_SIZE, 4, embedding=8, width=8, fixed_length=True)
    samples = domain.sample(generator, 3, keyed_rng(0))
    assert [len(line.split()) for line in samples] == [4, 4, 4]
    assert samples == domain.sample(generator, 3, keyed_rng(0))
    assert samples != domain.sample(generator, 3, keyed_rng(0), temperature=0.5)
    domain.write(samples, tmp_path)
    assert domain.read_samples(tmp_path) == samples


def test_a_folder_without_the_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold the oracle's weights: embedding\.npz"):
        Oracle(str(tmp_path))
    with (tmp_path / "embedding.npz").open("wb") as file:
        np.save(file, np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="must be an array of shape"):
        read_oracle_weights(Path(tmp_path))
    with pytest.raises(ValueError, match="one of train, valid, test"):
        OracleDataset(split="all")
    with pytest.raises(ValueError, match="must be 1 or more; got 10000 and 0"):
        OracleDataset(length=0)
