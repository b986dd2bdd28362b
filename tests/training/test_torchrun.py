"""Training in several processes: writes, failures, and resuming with one process."""

from pathlib import Path

import pytest
import torch

from multigan.training.launch import resume
from tests.engine.distributed_losses import ended, start
from tests.run_helpers import REPOSITORY, STEPS, logs_of, python, weights_at

TRAIN = ["train", "points", "--tiny", "--log-every=1", "--save-every=2", "--sample-every=1000"]
CLOSE = 1e-3  # of float32, after sums in another order


def assert_near(one: Path, other: Path, step: int) -> None:
    """The weights, moments and logs are those of the other run, but for rounding."""
    first, second = weights_at(one, step), weights_at(other, step)
    names = [name for name in first if "_rng" not in name]  # the streams of dropout
    assert set(names) == {name for name in second if "_rng" not in name}
    far = [
        n for n in names if not torch.allclose(first[n].double(), second[n].double(), atol=CLOSE)
    ]
    assert [n for n in far if "best" not in n] == []
    for mine, theirs in zip(logs_of(one)["log"], logs_of(other)["log"], strict=True):
        assert mine.keys() == theirs.keys() and mine["step"] == theirs["step"]
        assert all(abs(mine[name] - theirs[name]) < CLOSE for name in mine), mine["step"]


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_which_one_alone_can_finish(points_run, tmp_path):
    out = tmp_path / "shared"
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "-m",
        "tests.training.failing_io",
    ]
    command = [*launch, "SIGKILL", "5", *TRAIN, "--steps", str(STEPS), "--out", out]
    done = python(*command, path=REPOSITORY, cwd=tmp_path)
    assert done.returncode != 0 and "our bug" not in done.stderr, done.stderr
    saved = sorted(path.name for path in (out / "checkpoints").glob("step-*"))
    assert saved == ["step-000000000", "step-000000002", "step-000000004"]
    assert resume(out, show=False).step == STEPS
    assert_near(points_run, out, STEPS)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_the_same_step(points_run, tmp_path):
    out = str(tmp_path / "shared")
    stopped = ended(
        start("tests.training.failing_io", "SIGTERM", "3", *TRAIN, "--steps", "6", "--out", out)
    )
    assert [status for status, *_ in stopped] == [143, 143], stopped
    (_, _, first), (_, _, second) = stopped
    assert f"stopped at step 3 of 6; go on with: multigan resume {out}" in first
    assert "stopped" not in second
    finished = ended(start("multigan", "resume", out))
    assert [status for status, *_ in finished] == [0, 0], finished
    assert f"finished at step {STEPS}" in finished[0][1] and finished[1][1] == ""
    assert_near(points_run, Path(out), STEPS)


def test_an_indivisible_batch_is_refused_once_in_one_line(tmp_path):
    out = str(tmp_path / "shared")
    refused = ended(start("multigan", *TRAIN, "--batch-size", "9", "--out", out))
    said = [line for _, _, errors in refused for line in errors.splitlines() if "error" in line]
    assert len(said) == 1 and "batch_size must be a positive multiple of 2" in said[0]
    assert all(status != 0 for status, *_ in refused) and not Path(out).exists()
