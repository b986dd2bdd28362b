"""The table of a text model: which row is best at what, and what is kept."""

import math

import pytest
import torch

from multigan.core.evaluation_size import small_evaluations
from multigan.core.protocols import EvaluationSkipped, Sampler
from multigan.core.rng import keyed_rng
from multigan.text.metrics import evaluation, language_model
from multigan.text.metrics.evaluation import selection_score
from tests.metric_meanings import undescribed
from tests.text.special_ids import PAD
from tests.text.tiny import Parrot, tiny_lines, tiny_sampler

ROWS = ["real (held out)", "real (training copy)", "3gram", "4gram", "generator"]


@pytest.fixture(scope="module")
def data():
    return tiny_lines()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("references")


def table_of(sampler, data, cache, seed=0):
    return data.domain.evaluate(sampler, data.split("valid"), keyed_rng(seed), cache)


def parrot(data, lines):
    return Sampler(data.domain, Parrot(data.domain, lines))


@pytest.fixture
def few_samples():
    with small_evaluations():
        yield


@pytest.fixture(scope="module")
def fresh(data, kept):
    """The table of a generator with fresh weights."""
    return table_of(tiny_sampler(data), data, kept)


def test_the_rows_are_real_lines_their_copy_ngram_models_and_the_generator(fresh, data):
    assert list(fresh.rows) == ROWS and undescribed("text", fresh.rows) == set()
    assert data.domain.selection_metric in fresh.model
    counts = [fresh.rows[name]["lines"] for name in ROWS]
    assert counts == [100, 400, 400, 400, 400]
    assert "reverse_lm_nll" not in fresh.rows[ROWS[0]]  # it has fewer lines
    assert (
        fresh.rows[ROWS[1]]["memorized_fraction"] == 1
        and fresh.rows[ROWS[1]]["selection_score"] == 0
    )
    assert fresh.rows[ROWS[0]]["memorized_fraction"] == 0


def test_worse_lines_are_further_away_in_every_metric(fresh):
    real, copy, three, four, model = fresh.rows.values()
    for figure in ("frechet", "lm_nll", "frontier_integral", "length_total_variation"):
        assert copy[figure] < model[figure] and real[figure] < model[figure], figure
        assert four[figure] < three[figure] < model[figure], figure
    assert real["mauve"] > four["mauve"] > three["mauve"] > model["mauve"]
    assert (
        copy["reverse_lm_nll"]
        < four["reverse_lm_nll"]
        < three["reverse_lm_nll"]
        < model["reverse_lm_nll"]
    )
    assert 0 < four["selection_score"] < three["selection_score"] < model["selection_score"]
    assert copy["bleu_4"] > model["bleu_4"]


def test_training_lines_out_of_a_generator_measure_like_their_copy(data, kept):
    row = table_of(parrot(data, data.texts), data, kept).model
    assert (
        row["selection_score"] == pytest.approx(0, abs=1e-6)
        and row["memorized_fraction"] == row["unique_fraction"] == 1
    )
    assert row["unfinished_fraction"] == 0 and "nll_token" not in row  # a parrot has no likelihood


def test_one_line_again_and_again_is_likely_and_covers_nothing(data, kept, fresh):
    row = table_of(parrot(data, data.texts[:1]), data, kept).model
    copy = fresh.rows["real (training copy)"]
    assert row["unique_fraction"] == 1 / 400 and row["self_bleu_5"] == pytest.approx(1)
    assert row["reverse_lm_nll"] > copy["reverse_lm_nll"] + 1 and row["selection_score"] > 1


def test_the_likelihood_of_held_out_lines_is_the_generators_own(data, fresh):
    held = data.split("valid")
    generator = tiny_sampler(data).generator
    batch = held.batch(torch.arange(len(held)))
    nats = -generator.log_likelihood(batch).sum().item()
    tokens = sum(len(line) + 1 for line in data.domain.tokenizer_model.encode(list(held.texts)))
    assert fresh.model["nll_token"] == pytest.approx(nats / tokens, rel=1e-5)
    assert fresh.model["nll_word"] == pytest.approx(nats / (tokens - len(held)), rel=1e-5)


def test_the_likelihood_is_that_of_the_temperature_that_lines_are_drawn_at(data):
    held, generator = data.split("valid"), tiny_sampler(data).generator
    tokens = held.batch(torch.arange(len(held))).x.argmax(-1)
    found = [evaluation.heldout_nll(generator, held, t)["nll_token"] for t in (1.0, 0.5, 1000.0)]
    with torch.no_grad():
        nats = -generator.token_log_likelihood(tokens, None, 0.5).sum().item()
    assert found[1] == pytest.approx(nats / int((tokens != PAD).sum()), rel=1e-5) != found[0]
    written = data.domain.vocabulary_size - 2  # all tokens alike, but padding and the beginning
    assert found[2] == pytest.approx(math.log(written), abs=1e-3)


def test_lines_without_an_end_are_counted(data, tmp_path, few_samples):
    endless = "the dog sees " * 8
    row = table_of(parrot(data, [endless, *data.texts[:3]]), data, tmp_path).model
    assert row["unfinished_fraction"] == 1 / 4


def test_references_are_made_once_and_damaged_ones_again(data, tmp_path, few_samples):
    first = table_of(tiny_sampler(data), data, tmp_path)
    (file,) = tmp_path.iterdir()
    stamp = file.stat().st_mtime_ns
    assert table_of(tiny_sampler(data), data, tmp_path) == first
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(file.read_bytes()[:50])
    assert table_of(tiny_sampler(data), data, tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_lines_of_classes_are_drawn_in_the_proportion_of_the_held_out_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(language_model, "MAX_STEPS", 2)
    data = tiny_lines(class_field="mood")
    held = data.split("valid")
    seen = []
    sample_lines = evaluation.sample_lines

    def spy(spec, generator, n, rng, class_field, temperature):
        seen.append(class_field)
        return sample_lines(spec, generator, n, rng, class_field, temperature)

    monkeypatch.setattr(evaluation, "sample_lines", spy)
    data.domain.evaluate(tiny_sampler(data), held, keyed_rng(0), tmp_path)
    share = held.labels.double().mean()
    assert seen[0].double().mean() == pytest.approx(float(share), abs=0.08)


def test_too_few_lines_skip_the_evaluation(tmp_path):
    file = tmp_path / "my.txt"
    file.write_text("".join(f"line {k}\n" for k in range(30)))
    data = tiny_lines(source=str(file))
    with pytest.raises(
        EvaluationSkipped, match="20 or more held-out and training lines; got 6 and"
    ):
        table_of(tiny_sampler(data), data, tmp_path)


def test_the_selection_score_adds_a_ratio_and_a_difference():
    floor = {"frechet": 0.1, "reverse_lm_nll": 4.0}
    assert selection_score({"frechet": 0.2, "reverse_lm_nll": 4.5}, floor) == pytest.approx(
        math.log(2) + 0.5
    )
    assert math.isnan(selection_score({"frechet": 0.0, "reverse_lm_nll": 4.5}, floor))
