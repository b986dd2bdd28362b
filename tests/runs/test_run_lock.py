"""Two processes never train in one run directory; the lock of a dead one is released."""

import signal
import subprocess
import sys

import pytest

from multigan.cli import app
from multigan.runs.directory import LOCK, run_lock
from multigan.training.loop import Loop
from tests.run_helpers import snapshot, train_tiny

HOLD = """
import sys, time
from pathlib import Path
from multigan.runs.directory import run_lock
with run_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the lock of tmp_path / run."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_the_second_process_is_refused_in_one_line(holder, tmp_path, capsys):
    refusal = f"another process .number {holder.pid}.; wait"
    with pytest.raises(ValueError, match=refusal) as caught, run_lock(tmp_path / "run"):
        pass
    assert "\n" not in str(caught.value)
    assert app.main(["train", "points", "--tiny", "--out", str(tmp_path / "run")]) == 2
    assert "is being trained by another process" in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]


def test_the_lock_of_a_killed_process_is_taken_over(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / LOCK).read_text() == f"{holder.pid}\n"
    assert train_tiny("points", tmp_path / "run", steps=2).step == 2
    assert (tmp_path / "run" / LOCK).read_text() == ""


def test_a_running_run_is_neither_resumed_nor_replaced(tmp_path, points_run, monkeypatch, capsys):
    run, log, refused = tmp_path / "run", Loop._log, []

    def ask(self, step):
        if step.number == 2:
            for line in (["resume"], ["train", "points", "--tiny", "--overwrite", "--out"]):
                status = app.main([*line, str(run)])
                refused.append(f"{status} {capsys.readouterr().err.splitlines()[-1]}")
        return log(self, step)

    monkeypatch.setattr(Loop, "_log", ask)
    train_tiny("points", run)
    assert len(refused) == 2
    assert all(line.startswith("2 error: ") and "another process" in line for line in refused)
    names = {name for name in snapshot(points_run) if not name.startswith("samples")}
    assert names <= set(snapshot(run))
