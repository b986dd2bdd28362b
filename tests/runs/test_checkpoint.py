"""A checkpoint is whole or absent, whenever the machine stops."""

import json
import os
import resource
import shutil
import sys

import pytest
import torch
from torch import nn

from multigan.runs import checkpoint
from multigan.runs.checkpoint import (
    KEEP_LAST,
    STATE,
    clean_up,
    load_checkpoint,
    load_training_state,
    prune,
    save_checkpoint,
    save_generator,
)
from multigan.storage.checkpoint_integrity import (
    MANIFEST,
    find_corruption,
    latest_intact_checkpoint,
    list_checkpoints,
    sha256,
)
from multigan.storage.weights import read_weights

DESCRIPTION = {"domain": {"component": "of the test"}}


class Crash(BaseException):
    """The machine stops here."""


def linear(value):
    network = nn.Linear(2, 1)
    nn.init.constant_(network.weight, value)
    return network


def save(run, step, value=None):
    """A step checkpoint whose weights and state say its number."""
    networks = {"generator": linear(float(step if value is None else value))}
    folder = run / "checkpoints" / f"step-{step:09d}"
    save_checkpoint(folder, networks, {"generator": DESCRIPTION}, {"number": step})


def value_of(folder, name):
    return read_weights(folder / f"{name}.safetensors")[1]["weight"].unique().item()


def crash_at(monkeypatch, number):
    """Stop at the `number`-th of the calls that a write makes, then let nothing be cleaned up."""
    calls = iter(range(10**6))
    crashed = []

    def fragile(function):
        def call(*arguments, **settings):
            if not crashed and next(calls) == number:
                crashed.append(True)
                raise Crash
            if not crashed or function is not rmtree:
                return function(*arguments, **settings)

        return call

    rmtree = shutil.rmtree
    monkeypatch.setattr(os, "fsync", fragile(os.fsync))
    monkeypatch.setattr(os, "rename", fragile(os.rename))
    monkeypatch.setattr(shutil, "rmtree", fragile(rmtree))
    monkeypatch.setattr(torch, "save", fragile(torch.save))
    monkeypatch.setattr(checkpoint, "save_weights", fragile(checkpoint.save_weights))
    return crashed


def until_nothing_crashes(monkeypatch, tmp_path, prepare, write, check):
    """`write` crashes at its first call, its second ...; `check` what is left each time."""
    for number in range(100):
        run = tmp_path / str(number)
        prepare(run)
        with monkeypatch.context() as patch:
            crashed = crash_at(patch, number)
            try:
                write(run)
            except Crash:
                pass
            else:
                assert not crashed
                break
        check(run)
    assert number > 5, "no call was broken off"


def test_a_crash_inside_a_checkpoint_loses_nothing(monkeypatch, tmp_path):
    def check(run):
        found = latest_intact_checkpoint(run)
        assert found is not None and find_corruption(found) is None
        step = int(found.name[5:])
        assert step in (1, 2) and value_of(found, "generator") == step
        clean_up(run / "checkpoints")
        assert load_checkpoint(run, {"generator": linear(0.0)}) == {"number": step}
        save(run, 2)
        names = sorted(path.name for path in (run / "checkpoints").iterdir())
        assert names == ["step-000000001", "step-000000002"]

    until_nothing_crashes(
        monkeypatch, tmp_path, lambda run: save(run, 1), lambda run: save(run, 2), check
    )


def test_a_crash_while_the_best_is_replaced_keeps_the_old_or_the_new(monkeypatch, tmp_path):
    def check(run):
        clean_up(run / "checkpoints")
        best = run / "checkpoints" / "best"
        assert find_corruption(best) is None and value_of(best, "generator_ema") in (1.0, 2.0)
        assert [path.name for path in (run / "checkpoints").iterdir()] == ["best"]

    def best(run, value):
        save_generator(run, "best", linear(value), DESCRIPTION)

    until_nothing_crashes(
        monkeypatch, tmp_path, lambda run: best(run, 1.0), lambda run: best(run, 2.0), check
    )


def test_every_file_is_flushed_before_the_checkpoint_has_its_name(monkeypatch, tmp_path):
    flushed, at_rename = set(), []
    fsync, rename = os.fsync, os.rename

    def note_file(descriptor):
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def note_rename(source, target):
        at_rename.append({path.stat().st_ino for path in (source, *source.iterdir())} - flushed)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_file)
    monkeypatch.setattr(os, "rename", note_rename)
    save(tmp_path, 1)
    assert at_rename == [set()] and len(flushed) == 5  # three files, their folder and its parent


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [64, 700], ids=["weights", "state"])
def test_a_write_that_fails_is_an_os_error_and_keeps_the_last_checkpoint(limit, tmp_path):
    save(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="step-000000002 could not be written; is the disk full"):
            save(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert latest_intact_checkpoint(tmp_path).name == "step-000000001"
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_only_the_last_checkpoints_are_kept_and_never_the_best_deleted(tmp_path):
    for step in range(1, KEEP_LAST + 3):
        save(tmp_path, step)
    save_generator(tmp_path, "best", linear(1.0), DESCRIPTION)
    prune(tmp_path)
    kept = [int(path.name[5:]) for path in list_checkpoints(tmp_path)]
    assert kept == list(range(KEEP_LAST + 2, 2, -1))
    assert (tmp_path / "checkpoints" / "best").is_dir()


def test_a_checkpoint_of_the_same_step_replaces_the_old_one(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 1, value=7)
    (folder,) = (tmp_path / "checkpoints").iterdir()
    assert value_of(folder, "generator") == 7.0 and find_corruption(folder) is None


class Payload:
    """What a pickle may hold: a call of any function."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (os.system, (f"touch {self.file}",))


def test_a_state_that_would_run_code_is_refused_and_runs_nothing(tmp_path):
    save(tmp_path, 1)
    (folder,) = (tmp_path / "checkpoints").iterdir()
    torch.save({"number": Payload(tmp_path / "executed")}, folder / STATE)
    sums = json.loads((folder / MANIFEST).read_text()) | {STATE: sha256(folder / STATE)}
    (folder / MANIFEST).write_text(json.dumps(sums))
    with pytest.raises(ValueError, match="must hold a dict of tensors and plain values"):
        load_checkpoint(tmp_path, {"generator": linear(0.0)})
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("keep", [0, 1, 40, -30])
def test_a_damaged_state_is_refused_by_name_whatever_torch_makes_of_it(keep, tmp_path):
    save(tmp_path, 1)
    file = tmp_path / "checkpoints" / "step-000000001" / STATE
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"train_state\.pt must hold a dict of tensors"):
        load_training_state(file)
