"""Both stages of a run log and save at their own intervals, through a resumption."""

import pytest

from multigan.engine.monitoring import TrainingMonitor
from multigan.training.loop import Loop
from tests.run_helpers import logs_of, resume_tiny, train_tiny


def test_each_stage_logs_and_saves_a_share_of_itself(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(Loop, "_evaluate", lambda *_: None)  # it takes most of the time
    hyperparameters = {"likelihood_steps": 200, "steps": 6}
    hyperparameters |= dict.fromkeys(("log_every", "save_every", "sample_every"))
    run = train_tiny("text", tmp_path / "run", cache_dir=str(cache), **hyperparameters).path
    resume_tiny(run, steps=8, cache_dir=str(cache))  # no warning
    logged = [line["step"] for line in logs_of(run)["log"]]
    learnt = max(step for step in logged if step <= 200 and step % 2 == 0)
    assert learnt >= 20 and logged[: learnt // 2] == list(range(2, learnt + 1, 2))
    assert logged[-8:] == list(range(logged[-1] - 7, logged[-1] + 1))
    previews = sorted(file.stem for file in (run / "samples").glob("step-*"))
    assert previews[0] == "step-000000020"


def test_the_monitor_of_a_longer_resumption_follows_the_planned_length(tmp_path, monkeypatch):
    made = []

    def watched(recipe, horizon):
        made.append((recipe.steps, horizon))
        return TrainingMonitor(recipe, horizon)

    monkeypatch.setattr("multigan.training.loop.TrainingMonitor", watched)
    run = train_tiny("points", tmp_path / "run", steps=4).path
    with pytest.warns(UserWarning, match="come to 0"):
        resume_tiny(run, steps=6)
    resume_tiny(run, steps=8, extend_schedules=True)
    assert made == [(4, 4), (6, 4), (8, 8)]
