"""Completion, colors that can be turned off, and a last line of JSON."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from multigan.cli import app
from multigan.cli.common import complete_run_paths
from multigan.core.evaluation_size import small_evaluations
from tests.html_checks import written_run
from tests.run_helpers import STEPS

pytestmark = pytest.mark.filterwarnings("default")  # a command says its warnings itself
PROGRAM = "import sys; sys.argv[0] = 'multigan'; from multigan.cli.app import run; run()"
SHELLS = {
    "bash": {"COMP_WORDS": "multigan {line}", "COMP_CWORD": "2"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "multigan {line}"},
    "fish": {"_TYPER_COMPLETE_ARGS": "multigan {line}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


def completed(shell, line, folder):
    """What a shell offers for the last word of a line."""
    asked = {name: text.format(line=line) for name, text in SHELLS[shell].items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | asked | {"_MULTIGAN_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=180,
        check=False,
    )
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_the_name_of_a_recipe(shell, tmp_path):
    offered = completed(shell, "train im", tmp_path)
    assert "image" in offered and "music" not in offered


@pytest.mark.parametrize("verb", ["sample", "report"])
def test_a_shell_completes_the_path_of_a_run(verb, tmp_path):
    written_run(tmp_path / "runs" / "first")
    written_run(tmp_path / "runs" / "second")
    assert completed("bash", f"{verb} runs/f", tmp_path).split() == ["runs/first"]


def test_runs_are_offered_before_anything_is_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written_run(Path("runs/first"))
    Path("other").mkdir()
    assert complete_run_paths("") == ["runs/first", "runs/"]
    assert complete_run_paths("runs/") == ["runs/first"] and complete_run_paths("x") == []


def in_terminal(line, **environment):
    """The bytes that a command writes to a terminal."""
    ours, its = pty.openpty()
    settings = {"TERM": "xterm-256color", "COLUMNS": "80"} | environment
    with subprocess.Popen(
        [sys.executable, "-m", "multigan", *line.split()],
        stdout=its,
        stderr=its,
        env={k: v for k, v in os.environ.items() if k != "NO_COLOR"} | settings,
    ) as process:
        os.close(its)
        written = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            written += piece
    os.close(ours)
    assert process.returncode == 0
    return written


def test_no_color_turns_colors_off():
    colors = (b"\x1b[3", b"\x1b[1;3", b"\x1b[9", b"\x1b[1;9")
    plain, coloured = in_terminal("--help", NO_COLOR="1"), in_terminal("--help")
    assert [any(c in said for c in colors) for said in (plain, coloured)] == [False, True]


@pytest.fixture
def last(capsys, monkeypatch, tmp_path):
    """Run one command in a folder of its own: the JSON of its last line, and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(line):
        assert app.main(line.split()) == 0
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), err

    return command


@pytest.fixture
def few_samples():
    with small_evaluations():
        yield


def test_lists_and_recipes_are_printed_as_json(last):
    names = [row["recipe"] for row in last("list --json")[0]]
    assert {"image", "text", "music", "points"} <= set(names)
    shown = last("show points --json")[0]
    hyperparameters = {item["name"]: item for item in shown["hyperparameters"]}
    assert (
        hyperparameters["steps"]["type"] == "int" and shown["recipe"] == "points" and shown["tiny"]
    )
    assert last("list --runs --json")[0] == []


def test_a_run_is_printed_as_json_from_its_training_to_its_report(last, few_samples):
    often = f"--tiny --steps {STEPS} --log-every 1 --save-every 3 --sample-every 1000"
    shown, err = last(f"train points {often} --out run --quiet --json")
    assert shown.items() >= {"run": "run", "ended": "finished", "step": STEPS}.items()
    assert {"quality", "stability"} <= shown.keys() and "step" not in err
    assert last("list --runs --folder . --json")[0][0]["state"] == "finished"
    shown = last("sample run -n 3 --json")[0]
    assert (shown["samples"], shown["files"]) == (3, ["samples/run-0001/points.csv"])
    assert last("report run --json")[0] == {"run": "run", "report": "run/report.html"}
    assert "generator" in last("evaluate run --json")[0]["rows"]
    shown, err = last(f"resume run --steps {STEPS + 2} --verbose --json")
    assert shown["step"] == STEPS + 2
    assert [f"step {STEPS + k}/{STEPS + 2}" in err for k in (1, 2)] == [True, True]
    shown = last("compare run run --json")[0]
    assert shown["page"] == "comparison.html" and list(shown["rows"]) == ["run"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train points --quiet --verbose", "use one of --quiet and --verbose; got both"),
        ("compare run", "compare needs two runs or more; got 1"),
        ("report nowhere", "nowhere is no run directory"),
    ],
)
def test_an_invalid_combination_is_an_error_in_one_line(
    line, message, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert app.main(line.split()) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
