"""A file that crashes a worker is reported, and all others are decoded."""

import sys

import pytest
import torch

from multigan.image.commands import inspect_images
from multigan.image.datasets import sources
from multigan.image.formats import decode_workers
from multigan.image.formats.decode import Size
from multigan.image.formats.folder import read_folder, scan_folder
from tests.image.image_factory import folder_of

SIZE = Size(8, 8)
# a worker in which a file with these bytes after its image ends the process
WORKER = """#!{python}
import json, os, signal, sys
from multigan.image.formats import decode as worker
whole = worker.decode_frames
def decode_frames(content, *arguments):
    if content.endswith(b"deadly"):
        {end}
    return whole(content, *arguments)
worker.decode_frames = decode_frames
worker.worker_main(json.load(sys.stdin))
"""
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture(autouse=True)
def _two_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decode_workers, "FILES_PER_WORKER", 15)
    monkeypatch.setattr(decode_workers, "available_cpus", lambda: 2)
    sources.read_images.cache_clear()
    yield
    sources.read_images.cache_clear()


@pytest.fixture
def ends(tmp_path, monkeypatch):
    """Have the workers of this test end in a given way."""

    python = sys.executable

    def by(end):
        file = tmp_path / "worker"
        file.write_text(WORKER.format(python=python, end=end))
        file.chmod(0o700)
        monkeypatch.setattr(decode_workers.sys, "executable", str(file))

    return by


def deadly(root, numbers):
    for k in numbers:
        (file,) = root.rglob(f"{k:04d}.png")
        file.write_bytes(file.read_bytes() + b"deadly")
    return root


@pytest.mark.parametrize(("end", "status"), [(KILLED, -9), ("os._exit(3)", 3), ("os._exit(0)", 0)])
def test_the_files_it_crashed_on_are_named(end, status, ends, tmp_path, capsys):
    root = folder_of(tmp_path / "pets", 30, classes=())
    deadly(root, [0, 6, 7, 29])  # the first of a share, two in a row, the last of one
    ends(end)
    inspect_images(str(root), resolution=8)
    line = f"skipped: 0029.png: the decoder crashed on it (status {status})"
    assert line in capsys.readouterr().out.splitlines()


def test_a_warning_counts_the_files_it_crashed_on(ends, tmp_path):
    root = folder_of(tmp_path / "pets", 30, classes=())
    whole = read_folder(str(root), SIZE).pixels
    ends(KILLED)
    gone = [0, 6, 7, 29]
    told = (
        r"4 of 30 files are skipped: 4 the decoder crashed on it \(0000.png, 0006.png, "
        r"0007.png, ...\)"
    )
    with pytest.warns(UserWarning, match=told):
        pixels = read_folder(str(deadly(root, gone)), SIZE).pixels
    assert torch.equal(pixels, whole[[k for k in range(30) if k not in gone]])


def test_a_crash_is_not_remembered(ends, tmp_path):
    """Memory may have been short; what is kept would be short of images for ever."""
    root = deadly(folder_of(tmp_path / "pets", 30, classes=()), [4])
    ends(KILLED)
    assert len(scan_folder(str(root), SIZE).images.pixels) == 29
    ends("pass")
    assert len(scan_folder(str(root), SIZE).images.pixels) == 30


def test_crash_after_crash_ends_in_one_line(ends, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_workers, "MAX_CONSECUTIVE_CRASHES", 3)
    root = deadly(folder_of(tmp_path / "pets", 30, classes=()), range(30))
    ends(KILLED)
    told = r"pets: the decoder crashed on 3 consecutive files, the last is 0002.png \(status -9\)"
    with pytest.raises(OSError, match=told):
        read_folder(str(root), SIZE)


def test_a_small_set_of_which_every_file_crashes_holds_too_few_images(ends, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_workers, "FILES_PER_WORKER", 5)
    root = deadly(folder_of(tmp_path / "pets", 10, classes=()), range(10))
    ends(KILLED)
    told = "must have 10 or more usable images; got 0; 10 of 10 files are skipped: 10 the decoder"
    with pytest.raises(ValueError, match=told):
        read_folder(str(root), SIZE)


@pytest.mark.parametrize(
    ("end", "status"),
    [("sys.exit(1)", 1), ("os.kill(os.getpid(), signal.SIGTERM)", -15)],
)
def test_an_exit_without_a_crash_is_an_error(end, status, ends, tmp_path):
    root = deadly(folder_of(tmp_path / "pets", 30, classes=()), [4])
    ends(end)
    with pytest.raises(OSError, match=f"ended with status {status}"):
        read_folder(str(root), SIZE)


def test_a_process_that_does_not_start_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(decode_workers.sys, "executable", "/bin/false")
    with pytest.raises(OSError, match="ended with status 1"):
        read_folder(str(folder_of(tmp_path / "pets", 30)), SIZE)
