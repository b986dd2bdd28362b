"""Curves along the temperature, and their comparison."""

import csv

import pytest

from multigan.core.protocols import Sampler
from multigan.text.analysis import temperature_sweep as module
from multigan.text.analysis.temperature_sweep import (
    ROW_GENERATOR,
    ROW_LIKELIHOOD,
    SweepPoint,
    comparison,
)
from multigan.text.commands import export_tokenizer
from multigan.text.metrics import evaluation, language_model
from tests.text.tiny import tiny_generator, tiny_lines, tiny_run


def curve(name, points):
    return [SweepPoint(name, 1.0, {"lm_nll": x, "reverse_lm_nll": y}) for x, y in points]


BASE = curve(ROW_LIKELIHOOD, [(3.0, 5.0), (4.0, 4.0)])


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([(3.0, 4.5), (4.0, 3.5)], "dominates that of"),
        ([(3.0, 5.5), (4.0, 4.5)], "loses against that of"),
        ([(3.0, 4.5), (4.0, 4.5)], "crosses that of"),
        ([(3.0, 5.02), (4.0, 3.98)], "ties with that of"),
        ([(3.5, 4.2), (5.0, 4.0)], "better at 1, worse at 0 and tied"),
        ([(6.0, 4.0), (7.0, 3.9)], "share no lm_nll"),
    ],
)
def test_the_comparison_is_of_diversity_at_equal_quality(points, said):
    assert said in comparison([*BASE, *curve(ROW_GENERATOR, points)], noise=0.05)


def test_differences_inside_the_noise_are_ties():
    found = [*BASE, *curve(ROW_GENERATOR, [(3.0, 4.5), (4.0, 3.5)])]
    assert "dominates" in comparison(found, noise=0.1) and "ties with" in comparison(
        found, noise=0.2
    )


def test_without_a_likelihood_stage_there_is_nothing_to_compare_with():
    assert "no likelihood stage" in comparison(curve(ROW_GENERATOR, [(3.0, 5.0)]), noise=0.1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "text")


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Few lines and short training; a cache of its own."""
    monkeypatch.setattr(evaluation, "MAX_SAMPLES", 64)
    monkeypatch.setattr(language_model, "MAX_STEPS", 5)
    monkeypatch.setattr(module, "REPEATS", 2)
    return tmp_path / "cache"


def test_the_verb_writes_curves_of_both_and_compares_them(run, tmp_path, capsys, quick):
    module.temperature_sweep(run, points=2, out=tmp_path, cache=quick)
    said = capsys.readouterr().out
    assert "generator, best at inverse temperature" in said
    assert "likelihood, best at inverse temperature" in said
    assert "the generator's curve" in said or "the curves share no lm_nll" in said
    assert "sweep.csv" in said
    with (tmp_path / "sweep.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["model"], row["inverse_temperature"]) for row in rows] == [
        (name, inverse_temperature)
        for name in (ROW_GENERATOR, ROW_LIKELIHOOD)
        for inverse_temperature in ("0.7", "1.4")
    ]
    for cold, warm in ((rows[1], rows[0]), (rows[3], rows[2])):
        assert float(cold["distinct_2"]) < float(warm["distinct_2"])
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_against_the_model_itself_is_a_tie(quick):
    data = tiny_lines()
    quick.mkdir()
    generator = tiny_generator(data.domain)
    samplers = {name: Sampler(data.domain, generator) for name in (ROW_GENERATOR, ROW_LIKELIHOOD)}
    found, noise = module.measure_points(samplers, data.split("valid"), [0.8, 1.2], 0, quick)
    assert noise > 0 and "ties with" in comparison(found, noise)


def test_what_cannot_be_swept_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match="points must be 2 or more; got 1"):
        module.temperature_sweep(run, points=1)
    with pytest.raises(ValueError, match="lowest must be above 0 and below highest"):
        module.temperature_sweep(run, lowest=1.0, highest=0.5)
    with pytest.raises(ValueError, match="must be a run directory or a weight file"):
        module.temperature_sweep(tmp_path)


def test_the_tokenizer_of_a_run_is_written_as_a_folder(run, tmp_path, capsys):
    export_tokenizer(run, out=tmp_path / "tokenizer")
    assert "AutoTokenizer.from_pretrained" in capsys.readouterr().out
    again = tiny_lines(tokenizer=str(tmp_path / "tokenizer"))
    assert again.domain.tokenizer_model.encode(
        ["the dog"]
    ) == tiny_lines().domain.tokenizer_model.encode(["the dog"])
