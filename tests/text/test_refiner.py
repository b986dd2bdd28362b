"""The refiner of text: it counts words in other training lines, and learns by them."""

import pytest
import torch

from multigan.core.fitting import build_with_seed
from multigan.core.protocols import Refiner, Sampler, SupportsLikelihoodUnits, SupportsRefiner
from multigan.core.refinement import LOG_2, RefinedGenerator
from multigan.core.rng import keyed_rng
from multigan.engine.refinement import RefinementSettings, fit_refiner, measure_gain
from multigan.text.metrics.evaluation import heldout_nll
from multigan.text.models.refiner import MAX_UNKNOWN, TextRefiner
from tests.text.tiny import tiny_generator, tiny_lines

LINES = ["the cat sleeps.", "the dog sleeps.", "a cat runs."]


@pytest.fixture(scope="module")
def data():
    return tiny_lines(tokenizer="bpe", vocabulary_size=300, length=48)


def refiner_of(texts, domain):
    refiner = TextRefiner(domain.tokenizer, 16, len(texts), width=8)
    refiner.count_words(texts)
    return refiner


def observed(refiner, domain, *texts):
    return refiner.observe(domain.encode(list(texts)))


def test_a_word_of_no_training_line_is_unknown(data):
    refiner = refiner_of(LINES, data.domain)
    found = observed(
        refiner, data.domain, "the cat flies.", "zo blu fna ki mol.", "the cat sleeps!"
    )
    assert found.unknown.tolist() == [1, MAX_UNKNOWN, 1]  # the exclamation mark
    assert (found.words > 0).sum(1).tolist() == [4, 6, 4]


def test_a_training_line_is_no_evidence_for_its_own_words(data):
    refiner = refiner_of(LINES, data.domain)
    own = observed(refiner, data.domain, "the dog sleeps.", "a cat runs.")
    assert own.unknown.tolist() == [1, 2]  # dog; a, runs
    other = observed(refiner, data.domain, "a dog runs.")
    assert other.unknown.tolist() == [0]


def test_it_reads_tokens_and_one_hot_rows_alike_and_an_empty_line(data):
    refiner = refiner_of(LINES, data.domain).eval()
    tokens = data.domain.encode(["the cat runs.", ""])
    rows = torch.nn.functional.one_hot(tokens, data.domain.vocabulary_size).float()
    generator = tiny_generator(data.domain).eval()
    by_tokens, by_rows = (refiner(refiner.observe(x), generator) for x in (tokens, rows))
    assert torch.equal(by_tokens, by_rows) and by_tokens.isfinite().all()


def test_the_score_of_a_line_does_not_depend_on_those_next_to_it(data):
    refiner = refiner_of(data.texts, data.domain).eval()
    generator = tiny_generator(data.domain).eval()
    texts = list(data.texts[:8])
    both = refiner(observed(refiner, data.domain, *texts), generator)
    alone = [refiner(observed(refiner, data.domain, text), generator) for text in texts]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


@pytest.fixture(scope="module")
def fitted(data):
    """A refiner of an untrained generator, whose lines are no words."""
    generator = tiny_generator(data.domain).eval()
    assert isinstance(data.domain, SupportsRefiner)
    build = lambda: data.domain.build_refiner(generator, data)  # noqa: E731
    refiner = build_with_seed(build, keyed_rng("refiner"))
    settings = RefinementSettings(2, 320, validation_samples=64, learning_rate=0.01)
    return generator, refiner, fit_refiner(refiner, generator, data, settings=settings)


def test_it_learns_to_tell_lines_that_are_no_words(fitted, data):
    generator, refiner, card = fitted
    assert isinstance(refiner, Refiner) and card.log_loss < LOG_2 / 2
    gain = measure_gain(refiner, card, generator, data.split("test"), num_fake=128)
    assert gain.interval[0] > 0.2


def test_refined_lines_have_fewer_unknown_words(fitted, data):
    generator, refiner, card = fitted
    refined = RefinedGenerator(generator, refiner, card, 8)
    unknown = []
    for g in (generator, refined):
        tokens = g.generate(g.sample_latent(32, keyed_rng("lines")))
        unknown.append(float(refiner.observe(tokens).unknown.double().mean()))
    assert unknown[1] <= unknown[0]


def test_scores_of_refined_lines_are_those_of_the_generator(fitted, data):
    generator, refiner, card = fitted
    sampler = Sampler(data.domain, RefinedGenerator(generator, refiner, card, 2))
    options = {"prompt": data.texts[0].split()[0], "length": "1-40"}
    (line,) = sampler.sample(1, log_probabilities=True, **options)
    assert line == sampler.sample(1, **options)[0] and line.log_probability < 0


def test_units_are_those_of_the_likelihood(data):
    generator = tiny_generator(data.domain).eval()
    test = data.split("test")
    assert isinstance(data.domain, SupportsLikelihoodUnits)
    nll, units = heldout_nll(generator, test), data.domain.likelihood_units(test)
    for unit, count in units.items():
        assert nll[f"nll_{unit}"] * count == pytest.approx(nll["nll_line"])
    assert units["line"] == 1 and units["char"] > units["token"] > units["word"]
