"""A full or read-only disk ends a run in one line; its last checkpoint resumes exactly."""

import errno
import io
import os
import pathlib
import resource
import shutil
import subprocess
import sys

import pytest
import torch

from multigan.cli import app
from multigan.storage.checkpoint_integrity import latest_intact_checkpoint
from multigan.training.loop import Loop
from tests.run_helpers import STEPS, assert_equal_runs, snapshot

FAILS_AT = 4  # the step of the disk failure, after the checkpoint of step 2
COMMAND = f"train points --tiny --steps {STEPS} --log-every 1 --save-every 2 --sample-every 1000"
COMMAND += " --no-report"
pytestmark = [
    pytest.mark.filterwarnings("ignore:the learning rate has come to 0:UserWarning"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits"),
]


def when_failing(monkeypatch, fail):
    """Call `fail` before step FAILS_AT is logged."""
    log = Loop._log

    def log_on_a_failing_disk(self, step):
        if step.number == FAILS_AT:
            fail()
        return log(self, step)

    monkeypatch.setattr(Loop, "_log", log_on_a_failing_disk)


def refusing(function, number):
    """The function on a disk that answers with an error number."""

    def call(*arguments, **settings):
        if function is io.open and "r" in arguments[1] and "+" not in arguments[1]:
            return function(*arguments, **settings)
        raise OSError(number, os.strerror(number), str(arguments[0]))

    return call


def assert_ends_and_resumes(run, said, monkeypatch, capsys, points_run):
    """The run ends in one line with status 1; what is left is resumed to the same end."""
    assert app.main([*COMMAND.split(), "--out", str(run)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ") and said in lines[-1] and "our bug" not in lines[-1]
    assert "Traceback" not in "".join(lines)
    monkeypatch.undo()
    assert latest_intact_checkpoint(run).name == "step-000000002"
    assert app.main(["resume", str(run)]) == 0
    assert_equal_runs(points_run, run, STEPS)
    assert [path.name for path in run.rglob(".*")] == [".lock"]


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        pytest.param(os, "fsync", errno.ENOSPC, id="fsync"),
        pytest.param(os, "rename", errno.ENOSPC, id="rename"),
        pytest.param(os, "mkdir", errno.ENOSPC, id="mkdir"),
        pytest.param(torch, "save", errno.ENOSPC, id="state"),
        pytest.param(io, "open", errno.ENOSPC, id="append"),
        pytest.param(io, "open", errno.EROFS, id="append, read-only"),
    ],
)
def test_a_write_that_fails_ends_the_run_and_costs_no_checkpoint(
    owner, name, number, tmp_path, monkeypatch, capsys, points_run
):
    def fail():
        monkeypatch.setattr(owner, name, refusing(getattr(owner, name), number))
        if owner is io:
            monkeypatch.setattr(pathlib, "io", io)  # through which Path.open goes

    when_failing(monkeypatch, fail)
    said = os.strerror(number)
    assert_ends_and_resumes(tmp_path / "run", said, monkeypatch, capsys, points_run)


@pytest.mark.parametrize("limit", [0, 4096], ids=["log", "checkpoint"])
def test_files_that_may_not_grow_end_the_run(limit, tmp_path, monkeypatch, capsys, points_run):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fail():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))

    when_failing(monkeypatch, fail)
    try:
        status = app.main([*COMMAND.split(), "--out", str(tmp_path / "run")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err.splitlines()[-1]
    assert status == 1 and said.startswith("error: ") and "our bug" not in said
    monkeypatch.undo()
    assert app.main(["resume", str(tmp_path / "run")]) == 0
    assert_equal_runs(points_run, tmp_path / "run", STEPS)


@pytest.fixture
def disk(tmp_path):
    """A real file system of 3 MB; skipped where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_real_disk_that_is_full_ends_the_run(disk, monkeypatch, capsys, points_run):
    ballast = disk / "ballast"

    def fail():
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(512))

    when_failing(monkeypatch, fail)
    run = disk / "run"
    assert app.main([*COMMAND.split(), "--out", str(run)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and ("No space left" in said or "disk full" in said)
    monkeypatch.undo()
    ballast.unlink()
    assert app.main(["resume", str(run)]) == 0
    assert_equal_runs(points_run, run, STEPS)


def test_a_real_read_only_disk_is_sampled_from_but_not_resumed(disk, tmp_path, capsys, points_run):
    run = disk / "run"
    shutil.copytree(points_run, run, ignore=shutil.ignore_patterns("samples"))
    remount = ["mount", "-o", "remount,ro", str(disk)]
    subprocess.run(remount, check=True, capture_output=True)
    before = snapshot(run)
    for command in (["resume", str(run), "--steps", "9"], ["evaluate", str(run)]):
        assert app.main(command) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("error: Read-only file system") and str(run) in said
    assert app.main(["sample", str(run), "-n", "1", "--out", str(tmp_path / "out")]) == 0
    assert snapshot(run) == before
