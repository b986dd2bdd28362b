"""A generator is compared with likelihood training at the same cost."""

import json

import pytest
import torch

from multigan.storage.checkpoint_integrity import LIKELIHOOD_CHECKPOINT
from multigan.text.analysis import likelihood_baselines as module
from multigan.text.analysis.likelihood_baselines import (
    best_inverse_temperature,
    comparison,
    continue_training,
)
from multigan.text.metrics import evaluation, language_model
from tests.text.tiny import tiny_generator, tiny_lines, tiny_run


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Few lines and short training; a cache of its own."""
    monkeypatch.setattr(evaluation, "MAX_SAMPLES", 64)
    monkeypatch.setattr(language_model, "MAX_STEPS", 5)
    monkeypatch.setattr(module, "INVERSE_TEMPERATURES", (1.0, 1.3))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def rows(frechet, reverse=(5.0, 5.1)):
    return [
        {"frechet": f, "lm_nll_gap": 0.2 + 0.01 * k, "reverse_lm_nll": r}
        for k, (f, r) in enumerate(zip(frechet, reverse, strict=True))
    ]


def test_a_difference_inside_the_noise_is_a_tie():
    """Variances .0002 and .0002 of two repeats each: a standard error of .0141, twice is .0283."""
    tied = comparison(rows([0.10, 0.12]), rows([0.125, 0.145]))
    assert tied.startswith("frechet tied (-0.0250, noise 0.0283)") and tied.count("tied") == 3
    assert comparison(rows([0.10, 0.12]), rows([0.13, 0.15])).startswith("frechet better (-0.0300")
    assert comparison(rows([0.13, 0.15]), rows([0.10, 0.12])).startswith("frechet worse (+0.0300")


def test_the_control_is_a_copy_that_learnt_on():
    data = tiny_lines()
    generator = tiny_generator(data.domain)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    learnt = continue_training(generator, data, 20, 0.01, 16, seed=0)
    assert all(torch.equal(before[k], v) for k, v in generator.state_dict().items())
    batch = data.batch(torch.arange(100))
    better, worse = (g.log_likelihood(batch).mean() for g in (learnt, generator.eval()))
    assert better > worse + 1
    same = continue_training(generator, data, 20, 0.01, 16, seed=0)
    assert all(torch.equal(same.state_dict()[k], v) for k, v in learnt.state_dict().items())


def test_the_best_inverse_temperature_has_the_lowest_selection_score(quick, monkeypatch):
    data = tiny_lines()
    monkeypatch.setattr(
        module, "generator_metrics", lambda *a: {"selection_score": abs(1 / a[-1] - 1.25)}
    )
    assert best_inverse_temperature(data.domain, None, data.split("valid"), 0, quick) == 1.3


def test_the_verb_prints_a_comparison_with_each_baseline(quick, tmp_path, capsys):
    run = tiny_run(tmp_path / "run")
    module.compare_likelihood(run, repeats=2, cache=quick)
    said = capsys.readouterr().out
    found = json.loads((run / "baselines.json").read_text())["rows"]
    names = list(found)
    assert names[:2] == ["real (training copy)", LIKELIHOOD_CHECKPOINT] and names[-1] == "generator"
    assert names[3] == "likelihood, 3 more steps"
    assert said.count("against likelihood") == 3 and "reverse_lm_nll" in said
    assert (run / "baselines.md").is_file()


def test_what_cannot_be_compared_is_refused(tmp_path):
    run = tiny_run(tmp_path / "run")
    with pytest.raises(ValueError, match="repeats must be 2 or more"):
        module.compare_likelihood(run, repeats=1)
    for file in (run / "checkpoints" / LIKELIHOOD_CHECKPOINT).iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="must have a likelihood stage"):
        module.compare_likelihood(run)
