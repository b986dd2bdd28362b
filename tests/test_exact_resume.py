"""A run that was stopped, however, goes on bit by bit as if it never had been."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from multigan.cli import app
from multigan.training.loop import Loop
from tests.forked import server
from tests.run_helpers import (
    DOMAINS,
    STEPS,
    assert_equal_runs,
    edit_json,
    logs_of,
    resume_tiny,
    snapshot,
    steps_before,
    train_tiny,
    weights_at,
)

pytestmark = pytest.mark.filterwarnings("ignore:the learning rate has come to 0:UserWarning")

KILLED_AT = 4  # adversarial steps: after a checkpoint between two log lines, and a log line
INTERVALS = {"log_every": 2, "save_every": 3}


def train_and_die(name, out, cache, killed_at):
    """In a process of its own: train, or go on, until the log line of a step, then SIGKILL."""
    torch.set_num_threads(1)
    log = Loop._log

    def log_and_die(self, step):
        values = log(self, step)
        if step.number == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return values

    Loop._log = log_and_die
    if out.exists():
        resume_tiny(out, cache_dir=str(cache))
    else:
        train_tiny(name, out, cache_dir=str(cache), **INTERVALS)


@pytest.fixture
def copied(points_run, tmp_path):
    """A copy of the finished run."""
    return Path(shutil.copytree(points_run, tmp_path / "copied"))


def newest(run):
    return run / "checkpoints" / f"step-{STEPS:09d}"


def forget_the_end(run):
    """Leave recipe.json as it is while a run is training."""
    description = json.loads((run / "recipe.json").read_text())
    del description["ended"], description["checksum"]
    (run / "recipe.json").write_text(json.dumps(description))


def at_step(monkeypatch, number, do):
    """Call `do` once, after the log line of step `number`."""
    log = Loop._log

    def log_then_do(self, step):
        values = log(self, step)
        if step.number == number:
            do()
        return values

    monkeypatch.setattr(Loop, "_log", log_then_do)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_killed_run_resumes_bit_identically(name, tmp_path, cache):
    """It is killed after its likelihood stage, if it has one, and in adversarial training."""
    straight = train_tiny(name, tmp_path / "straight", cache_dir=str(cache), **INTERVALS).path
    killed, last = tmp_path / "killed", steps_before(name) + STEPS
    for killed_at in filter(None, [steps_before(name), steps_before(name) + KILLED_AT]):
        process = server().Process(target=train_and_die, args=(name, killed, cache, killed_at))
        process.start()
        process.join(600)
        assert process.exitcode == -signal.SIGKILL
        assert logs_of(killed)["log"][-1]["step"] == killed_at
    assert resume_tiny(killed, cache_dir=str(cache)).step == last
    assert_equal_runs(straight, killed, last)
    assert [line["step"] for line in logs_of(killed)["log"]] == list(range(2, last + 1, 2))
    adversarial = [step for step in range(3, last, 3) if step > steps_before(name)]
    before = [steps_before(name)] if steps_before(name) else []
    assert [line["step"] for line in logs_of(killed)["metrics"]] == [*before, *adversarial, last]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_says_how_to_go_on_and_loses_nothing(
    number, points_run, tmp_path, monkeypatch, capsys, request
):
    out = tmp_path / "stopped"
    before = signal.signal(number, signal.default_int_handler)  # it may be inherited as ignored
    request.addfinalizer(lambda: signal.signal(number, before))
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), number))
    command = f"train points --tiny --steps {STEPS} --log-every 1 --save-every 2 --out {out}"
    command += " --sample-every 1000 --no-report"
    assert app.main(command.split()) == 128 + number
    assert f"go on with: multigan resume {out}" in capsys.readouterr().err.splitlines()[-1]
    assert (out / "checkpoints" / "step-000000003").is_dir()
    monkeypatch.undo()
    assert app.main(["resume", str(out)]) == 0
    assert_equal_runs(points_run, out, STEPS)


def truncate(file):
    file.write_bytes(file.read_bytes()[:100])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.fixture(scope="module")
def longer(points_run, tmp_path_factory):
    """The finished run, resumed for two more steps from its last checkpoint."""
    copy = shutil.copytree(points_run, tmp_path_factory.mktemp("longer") / "run")
    return resume_tiny(copy, steps=STEPS + 2).path


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("generator.safetensors", truncate),
        ("train_state.pt", flip_a_bit),
        ("discriminator.safetensors", Path.unlink),
        ("manifest.json", Path.unlink),
        ("manifest.json", truncate),
    ],
)
def test_the_checkpoint_before_a_damaged_one_is_used_with_a_warning(file, damage, copied, longer):
    damage(newest(copied) / file)
    with pytest.warns(UserWarning, match=rf"step-0+{STEPS}: .*; the one before it is used"):
        resume_tiny(copied, steps=STEPS + 2)
    assert_equal_runs(longer, copied, STEPS + 2)


@pytest.mark.filterwarnings("ignore:.*the one before it is used")
def test_a_run_whose_checkpoints_are_all_damaged_starts_again_at_step_0(copied):
    for checkpoint in (copied / "checkpoints").glob("step-*"):
        truncate(checkpoint / "train_state.pt")
    forget_the_end(copied)
    with pytest.warns(UserWarning, match="no whole checkpoint: it starts at step 0"):
        assert resume_tiny(copied).step == STEPS
    assert [line["step"] for line in logs_of(copied)["log"]] == list(range(1, STEPS + 1))


def test_resuming_clears_what_a_killed_write_left(copied):
    checkpoints = copied / "checkpoints"
    (checkpoints / ".step-000000007.99.tmp").mkdir()
    (checkpoints / "best").rename(checkpoints / ".best.old")
    resume_tiny(copied)
    assert (checkpoints / "best").is_dir()
    assert [path for path in checkpoints.iterdir() if path.name.startswith(".")] == []


def test_equal_seeds_make_equal_weights_and_other_seeds_make_others(points_run, tmp_path):
    same = train_tiny("points", tmp_path / "same", seed=0).path
    other = train_tiny("points", tmp_path / "other", seed=1).path
    assert_equal_runs(points_run, same, STEPS)
    weights = "generator_ema.safetensors"
    assert (newest(points_run) / weights).read_bytes() == (newest(same) / weights).read_bytes()
    first, second = weights_at(points_run, STEPS), weights_at(other, STEPS)
    assert not torch.equal(first["generator.last.weight"], second["generator.last.weight"])


def test_resuming_a_finished_run_says_so_and_changes_nothing(copied, capsys):
    before = snapshot(copied)
    assert app.main(["resume", str(copied)]) == 0
    assert f"finished at step {STEPS}" in capsys.readouterr().out
    assert snapshot(copied) == before


def test_a_run_killed_before_it_could_say_that_it_ended_is_finished_by_resuming(copied):
    forget_the_end(copied)
    assert resume_tiny(copied).ended == "finished"
    assert json.loads((copied / "recipe.json").read_text())["ended"] == "finished"


def learning_rates(run):
    return [line["lr/generator"] for line in logs_of(run)["log"]]


def test_more_steps_keep_the_horizon_of_the_schedules(copied):
    assert resume_tiny(copied, steps=STEPS + 2).step == STEPS + 2
    rates = learning_rates(copied)
    assert rates[-1] == rates[-2] == rates[STEPS - 1] < rates[0]
    description = json.loads((copied / "recipe.json").read_text())
    assert description["horizon"] == STEPS and description["recipe"]["steps"] == STEPS + 2


def test_steps_after_a_learning_rate_has_come_to_zero_are_warned_of(copied):
    with pytest.warns(UserWarning, match="change nothing; --extend-schedules"):
        resume_tiny(copied, steps=STEPS + 1)


def test_fewer_steps_than_were_done_are_refused_and_change_nothing(copied):
    before = (copied / "recipe.json").read_bytes()
    with pytest.raises(ValueError, match=f"--steps must be {STEPS} or more"):
        resume_tiny(copied, steps=STEPS - 1)
    assert (copied / "recipe.json").read_bytes() == before


def test_a_new_horizon_stretches_the_schedules(copied):
    resume_tiny(copied, steps=STEPS + 2, extend_schedules=True)
    rates = learning_rates(copied)
    assert rates[STEPS] > rates[STEPS + 1] == pytest.approx(0, abs=1e-12)
    assert json.loads((copied / "recipe.json").read_text())["horizon"] == STEPS + 2


def test_changed_data_are_refused(copied, capsys):
    edit_json(copied / "recipe.json", fingerprint="of other bytes")
    before = snapshot(copied)
    assert app.main(["resume", str(copied), "--steps", "100"]) == 2
    assert app.main(["evaluate", str(copied)]) == 2
    resumed, evaluated = capsys.readouterr().err.splitlines()
    assert "have changed" in resumed and "has changed" in evaluated
    assert snapshot(copied) == before


def test_a_run_stopped_by_patience_resumes_with_full_patience(tmp_path, monkeypatch):
    impatient = tmp_path / "impatient"
    monkeypatch.setattr(Loop, "restore", never_better(Loop.restore))
    monkeypatch.setattr(Loop, "initialize", never_better(Loop.initialize))
    run = train_tiny("points", impatient, steps=20, patience=2)
    assert run.step == 4 and run.ended == "no better total_variation in 2 evaluations"
    assert resume_tiny(impatient).step == 4
    again = resume_tiny(impatient, steps=30)
    assert again.step == 6 and (impatient / "checkpoints" / "step-000000006").is_dir()


def never_better(method):
    """The method, after which no measurement is better than the best so far."""

    def call(self, *arguments):
        method(self, *arguments)
        self.best = -1.0

    return call
