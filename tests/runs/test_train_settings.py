"""Options of a training from a file, and from a run that is repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multigan.cli.app import main
from multigan.core.signature import Option
from multigan.runs.directory import RunDirectory
from multigan.runs.train_settings import read_settings, settings_of_run

OPTIONS = [
    *(Option("steps", int, "", ""), Option("gamma", str, "", ""), Option("lr", float, "", "")),
    *(Option("batch_size", int, "", ""), Option("compile", bool, "", "")),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "steps: 500\ngamma: 0.5\nbatch-size: 8\ncompile: true\n"),
        ("a.yml", "{steps: 500, gamma: 0.5, batch_size: 8, compile: true}"),
        ("a.TOML", "steps = 500\ngamma = 0.5\nbatch-size = 8\ncompile = true\n"),
    ],
)
def test_yaml_and_toml_state_the_same_options(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    expected = {"steps": 500, "gamma": "0.5", "batch_size": 8, "compile": True}
    assert read_settings(tmp_path / name, OPTIONS) == expected


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert read_settings(tmp_path / "a.yaml", OPTIONS) == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{}", "must be a file .yaml, .yml, .toml"),
        ("a.yaml", "step: 5", "unknown option 'step'; did you mean steps"),
        ("a.yaml", "steps: [1, 2]", "must be a single value; got [1, 2]"),
        ("a.yaml", "data: {steps: 1}", "unknown option 'data'"),
        ("a.yaml", "- steps", "must be a table of options"),
        ("a.yaml", "steps", "must be a table of options"),
        ("a.yaml", "a: b: c", "is not valid YAML"),
        ("a.yaml", "x: !!python/object/apply:os.getcwd []", "is not valid YAML"),
        ("a.toml", "steps 5", "cannot be read"),
        ("a.toml", "[model]\nsteps = 5", "unknown option 'model'"),
        ("a.yaml", "\udcff", "cannot be read"),
    ],
)
def test_what_is_no_flat_table_of_options_is_refused_in_one_line(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError) as caught:
        read_settings(file, OPTIONS)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "mine.yaml").write_text("tiny: true\nsteps: 4\nlr: 0.01\nseed: 3\ngamma: 0.5\n")
    run = folder / "run"
    command = ["train", "points", "--config", str(folder / "mine.yaml"), "--steps", "3"]
    assert main([*command, "--no-report", "--quiet", "--out", str(run)]) == 0
    return run


def config_of(run: Path) -> dict:
    return RunDirectory(run).read_config()


def test_the_command_line_wins_over_the_file(trained):
    config = config_of(trained)
    stated = config["hyperparameters"]
    assert config["recipe"]["steps"] == 3 and config["seed"] == 3
    assert stated["lr"] == 0.01 and stated["gamma"] == "0.5"


def test_a_run_is_repeated_with_its_options_and_the_changes(trained, tmp_path):
    again = tmp_path / "again"
    command = ["train", str(trained), "--lr", "0.02", "--no-report", "--quiet"]
    assert main([*command, "--out", str(again)]) == 0
    before, after = config_of(trained), config_of(again)
    assert after["hyperparameters"] == before["hyperparameters"] | {"lr": 0.02}
    assert after["seed"] == before["seed"] and after["name"] == "points"


def test_a_run_cannot_choose_the_file_that_is_executed(trained, tmp_path):
    harmful = tmp_path / "recipe.py"
    harmful.write_text("raise SystemExit('executed')\n")
    config = config_of(trained) | {"name": str(harmful)}
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "recipe.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="must be one of multigan to be repeated by name"):
        settings_of_run(str(copy))
