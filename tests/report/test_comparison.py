"""What differs between runs, and the conclusion with its noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multigan.report.comparison import conclusion, differences
from multigan.report.run_summary import RunSummary
from multigan.runs.directory import RunDirectory
from tests.run_helpers import train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return train_tiny("points", tmp_path_factory.mktemp("comparison") / "run", report=False).path


@pytest.fixture
def made(trained, tmp_path):
    """Make a run of given settings, seed, metric and interval, from the files of a trained one."""

    def make(name: str, value: float, *, seed: int = 0, ends=None, **settings) -> RunSummary:
        folder = tmp_path / name
        folder.mkdir()
        config = json.loads((trained / "recipe.json").read_text())
        config["seed"] = seed
        config.pop("checksum")
        config["hyperparameters"] |= settings
        (folder / "recipe.json").write_text(json.dumps(config))
        rows = {"real": {"total_variation": 0.1}, "generator": {"total_variation": value}}
        intervals = {} if ends is None else {"generator": {"total_variation": ends}}
        table = {"rows": rows, "notes": [], "headline": "total_variation", "floor": "real"}
        (folder / "evaluation.json").write_text(json.dumps(table | {"intervals": intervals}))
        return RunSummary(RunDirectory(folder))

    return make


def test_only_settings_that_differ_are_named(made):
    a, b = made("a", 0.3, lr=0.1), made("b", 0.2, lr=0.2, seed=1)
    found = differences([a, b])
    assert found == {"Seed": ["0", "1"], "lr": ["0.1", "0.2"]}


def test_single_runs_without_intervals_show_no_noise(made):
    text = conclusion([made("a", 0.3, lr=0.1), made("b", 0.2, lr=0.2)])
    assert "b is lower in Total variation, 0.2 against 0.3" in text
    assert "does not show the noise" in text


@pytest.mark.parametrize(
    ("ends", "claim"),
    [
        (([0.25, 0.35], [0.15, 0.22]), "better beyond the noise of the samples"),
        (([0.20, 0.35], [0.15, 0.22]), "no difference beyond the noise of the samples"),
    ],
)
def test_intervals_decide_between_two_runs(made, ends, claim):
    text = conclusion([made("a", 0.3, lr=0.1, ends=ends[0]), made("b", 0.2, lr=0.2, ends=ends[1])])
    assert claim in text


@pytest.mark.parametrize(
    ("values", "claim"), [((0.2, 0.22), "better beyond the noise"), ((0.1, 0.5), "no difference")]
)
def test_seeds_decide_between_two_settings(made, values, claim):
    runs = [made(f"a{k}", v, lr=0.1, seed=k) for k, v in enumerate((0.40, 0.42))]
    runs += [made(f"b{k}", v, lr=0.2, seed=k) for k, v in enumerate(values)]
    text = conclusion(runs)
    assert claim in text and "2 seeds" in text and "standard error" in text


def test_runs_of_one_setting_show_its_spread(made):
    text = conclusion([made("a", 0.3), made("b", 0.2, seed=1)])
    assert text.startswith("0.25 (sd 0.071, 2 seeds)")


def test_a_run_without_an_evaluation_gives_no_verdict(made, trained):
    a = made("a", 0.3)
    (a.run.path / "evaluation.json").unlink()
    assert conclusion([a, made("b", 0.2, lr=0.2)]).startswith("No conclusion")
