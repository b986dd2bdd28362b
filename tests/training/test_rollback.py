"""At a non-finite value a run rolls back, with smaller learning rates, a few times at most."""

import json
from pathlib import Path

import pytest

from multigan.engine import trainer as trainers
from multigan.engine.optimization import ROLLBACK, NonFiniteError
from multigan.runs.directory import read_jsonl
from multigan.training.loop import MAX_ROLLBACKS, TrainingFailed
from tests.run_helpers import assert_equal_runs, resume_tiny, train_tiny

STEPS = 8


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def fail_at(monkeypatch):
    """Fail in the step after `number`, as long as the learning rate is above `share` of itself."""

    def fail(number, share=1.0):
        step = trainers.AdversarialTrainer._step

        def fragile(self, batches):
            if self.number == number and self.lr_scale >= share:
                raise NonFiniteError("loss/generator")
            return step(self, batches)

        monkeypatch.setattr(trainers.AdversarialTrainer, "_step", fragile)

    return fail


def rates_of(run: Path) -> dict[int, float]:
    lines = list(read_jsonl(run / "log.jsonl"))
    return {line["step"]: line["lr/generator"] for line in lines if "lr/generator" in line}


def diagnostics_of(run: Path) -> list[str]:
    return [
        message
        for line in read_jsonl(run / "log.jsonl")
        for message in line.get("diagnostics", {}).values()
    ]


def test_a_rollback_continues_from_the_last_checkpoint_at_half_the_rate(
    points_run, tmp_path, fail_at
):
    calm = rates_of(train_tiny("points", tmp_path / "calm", steps=STEPS).path)
    fail_at(5)
    run = train_tiny("points", tmp_path / "run", steps=STEPS, on_nonfinite="rollback")
    assert run.step == STEPS
    found = rates_of(run.path)
    assert list(found) == list(range(1, STEPS + 1))
    assert all(found[n] == (calm[n] if n <= 4 else calm[n] / 2) for n in found)
    assert diagnostics_of(run.path) == [
        "loss/generator was not finite at step 6: back to step 4, at 0.5 of the learning rates "
        "(1 of at most 3 times)"
    ]


def test_a_run_that_fails_again_and_again_stops_with_its_checkpoint_intact(tmp_path, fail_at):
    fail_at(5, share=0.0)
    with pytest.raises(
        TrainingFailed, match=f"step 6: loss/gen.* after {MAX_ROLLBACKS} rollbacks; the"
    ):
        train_tiny("points", tmp_path / "run", steps=STEPS, on_nonfinite="rollback")
    assert len(diagnostics_of(tmp_path / "run")) == MAX_ROLLBACKS
    assert (tmp_path / "run/checkpoints/step-000000004").is_dir()


def test_raise_is_the_default_and_its_message_names_a_fix(tmp_path, fail_at):
    fail_at(5)
    with pytest.raises(
        TrainingFailed, match=r"loss/generator is not finite, .*--on-nonfinite rollb"
    ):
        train_tiny("points", tmp_path / "run", steps=STEPS)
    flags = json.loads((tmp_path / "run/recipe.json").read_text())["flags"]
    assert flags["on_nonfinite"] == "raise"


@pytest.mark.parametrize("killed_at", [4, 5, 7])
def test_a_run_that_was_killed_around_a_rollback_equals_one_that_was_not(
    killed_at, tmp_path, fail_at, monkeypatch
):
    fail_at(5)
    straight = train_tiny("points", tmp_path / "straight", steps=STEPS, on_nonfinite=ROLLBACK).path
    with monkeypatch.context() as patch:
        step = trainers.AdversarialTrainer._step

        def deadly(self, batches):
            if self.number == killed_at and (killed_at < 5 or self.lr_scale < 1):
                raise Killed
            return step(self, batches)

        patch.setattr(trainers.AdversarialTrainer, "_step", deadly)
        with pytest.raises(Killed):
            train_tiny("points", tmp_path / "killed", steps=STEPS, on_nonfinite="rollback")
    assert resume_tiny(tmp_path / "killed").step == STEPS
    assert_equal_runs(straight, tmp_path / "killed", STEPS)
