"""The command of a run trains it again."""

import shlex
import shutil

import pytest

from multigan.cli import app
from multigan.report.run_summary import RunSummary
from multigan.runs.directory import RunDirectory
from multigan.runs.provenance import redacted_config, train_command

TINY = "--tiny --log-every 1 --no-report --sample-every 1000"


def say(line):
    assert app.main(shlex.split(line)) == 0, line


def same_experiment(one, other):
    kept = ("recipe", "horizon", "seed")
    return {k: one[k] for k in kept} == {k: other[k] for k in kept}


def test_the_command_of_a_run_trains_it_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    say("copy points points.py")
    text = (tmp_path / "points.py").read_text()
    (tmp_path / "points.py").write_text(text.replace("width: int = 128", "width: int = 24"))
    say(f"train ./points.py {TINY} --lr 1e-4 --patience 9 --seed 3 --out run")
    description = RunDirectory("run").read_config()
    command = train_command(description)
    assert RunSummary(RunDirectory("run")).command == command
    assert command.startswith("multigan train points.py ") and "--patience 9" in command
    say(command.removeprefix("multigan ") + " --out again --no-report")
    assert same_experiment(description, RunDirectory("again").read_config())


def test_more_steps_than_at_first_are_part_of_it(points_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(points_run, "run")
    say("resume run --steps 9 --extend-schedules")
    command = train_command(RunDirectory("run").read_config())
    assert "--steps 9" in command


@pytest.mark.filterwarnings("ignore:--init-from", "ignore:.*no whole checkpoint")
def test_a_run_may_start_from_a_pretrained_generator_and_be_started_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    say(f"train image {TINY} --init-from image --steps 2 --save-every 2 --out run")
    description = RunDirectory("run").read_config()
    assert description["init"]["source"] == "image"
    assert "--init-from image" in train_command(description)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    say("resume run")


def test_where_weights_came_from_is_not_shown_to_others(points_run):
    description = RunDirectory(points_run).read_config() | {"init": {"source": "/secret"}}
    assert "/secret" not in str(redacted_config(description))
