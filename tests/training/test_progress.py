"""Without a terminal, progress is printed in plain lines at intervals."""

import re

import pytest

from multigan.runs.directory import read_jsonl
from multigan.training import metric_logging
from multigan.training.metric_logging import ProgressDisplay
from multigan.training.start_lines import describe_schedules
from tests.run_helpers import train_tiny

NUMBERS = {"loss/discriminator": 0.6931, "loss/generator": 1.5, "lr/generator": 0.1}


class TenSteps:
    """What the display asks of a training."""

    first_step, total_steps, batch_size = 0, 10, 4
    description = ""


def displayed(**settings):
    display = ProgressDisplay(**settings)
    display.on_start(TenSteps())
    for step in range(1, 11):
        display.on_step(step, {})
        display.on_log(step, NUMBERS, {"mode collapse": "few modes"} if step > 4 else {})
    display.on_end(10, "finished", None)


def test_a_short_run_prints_its_diagnostics_and_one_line_at_its_end(capsys):
    displayed()
    out, err = capsys.readouterr()
    first, last = err.splitlines()
    assert out == "" and first == "step 5: mode collapse: few modes"
    assert last.startswith("step 10/10  ") and "D 0.693  G 1.5" in err and "\x1b" not in err
    assert "step/s" in err and "samples/s" in err and "0 s left" in err


def test_a_long_run_prints_lines_at_intervals(capsys, monkeypatch):
    monkeypatch.setattr(metric_logging, "LINE_EVERY_SECONDS", 0.0)
    displayed()
    assert len(capsys.readouterr().err.splitlines()) == 10 + 1


def test_a_quiet_run_prints_nothing(capsys):
    displayed(show=False)
    assert capsys.readouterr() == ("", "")


def test_the_bar_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(TenSteps, "total_steps", 200_000)
    displayed()
    written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    bars = [line for line in re.split(r"[\r\n]+", written) if "step/s" in line]
    assert bars and all(len(line.rstrip()) <= 80 for line in bars)
    assert "10/200000" in bars[-1] and "D 0.693  G 1.5" in bars[-1] and "…" not in bars[-1]


def test_numbers_of_a_run_are_named_together_where_they_are_equal():
    ends = {"lr/generator": [0.003, 0.0], "lr/discriminator": [0.003, 0.0], "adam/beta1": [0, 0]}
    ends |= {"adam/beta2": [0.9, 0.99], "gamma/r1": [0.3, 0.03]}
    text = describe_schedules({"schedules": ends, "recipe": {"burn_in": 0.2}})
    assert text == (
        "lr 0.003 -> 0, gamma/r1 0.3 -> 0.03, adam/beta1 0, adam/beta2 0.9 -> 0.99, "
        "burn-in over the first 0.2 of the run"
    )
    constant = {"schedules": {"gamma/r1": [1.0, 1.0]}, "recipe": {"burn_in": 0.0}}
    assert describe_schedules(constant) == "gamma/r1 1"


def test_a_training_prints_its_numbers_at_the_start_and_logs_them_in_each_line(tmp_path, capsys):
    run = train_tiny("points", tmp_path / "run", show=True, burn_in=0.5, gamma="0.4", lr=1e-3)
    shown = capsys.readouterr().err.replace("\n", " ")
    shown = " ".join(shown.split())
    assert shown.startswith("data GaussianMixture: ") and "training samples" in shown
    assert "networks MLPGenerator " in shown and f"run {tmp_path / 'run'}: " in shown
    assert "lr 0.001 -> 0, gamma 0.4 -> 0.04, adam/beta1 0, adam/beta2 0.9 -> 0.99" in shown
    assert "ema/halflife_samples 0 -> 10,000" in shown
    assert "burn-in over the first 0.5 of the run" in shown
    lines = list(read_jsonl(run.path / "log.jsonl"))
    for line in lines:
        assert {"lr/generator", "gamma/r1", "gamma/r2", "adam/beta1", "adam/beta2"} <= line.keys()
    assert lines[-1]["gamma/r2"] == pytest.approx(0.04) and lines[-1]["adam/beta2"] == 0.99
