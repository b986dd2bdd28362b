import shutil

import pytest

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
