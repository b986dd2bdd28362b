import json
import shutil

import pytest
import torch

from multigan.training import launch


def test_a_training_state_of_another_version_is_refused_by_what_it_lacks(
    tmp_path, points_run, monkeypatch
):
    run = shutil.copytree(points_run, tmp_path / "run")
    load = launch.load_checkpoint

    def older(*args):
        return {key: value for key, value in load(*args).items() if key != "monitor"}

    monkeypatch.setattr(launch, "load_checkpoint", older)
    with pytest.raises(ValueError, match="its training state lacks 'monitor': another version"):
        launch.resume(run, steps=10_000, extend_schedules=True, show=False)


def test_another_number_of_threads_is_recorded_and_warned_of(tmp_path, points_run, recwarn):
    run = shutil.copytree(points_run, tmp_path / "run")
    recorded = json.loads((run / "recipe.json").read_text())["threads"]
    assert recorded == torch.get_num_threads() == 1
    launch.resume(run, steps=8, extend_schedules=True, show=False)
    assert not recwarn.list
    torch.set_num_threads(2)
    try:
        with pytest.warns(
            UserWarning, match="threads of torch must be 1, .*; got 2: set OMP_NUM_THREADS=1"
        ):
            launch.resume(run, steps=10, extend_schedules=True, show=False)
    finally:
        torch.set_num_threads(1)
    assert json.loads((run / "recipe.json").read_text())["threads"] == 2
