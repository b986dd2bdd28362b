"""A run directory holds whole files, and does not overwrite unknown ones."""

import json
import os
import shutil
from pathlib import Path

import pytest

from multigan.runs import directory
from multigan.runs.directory import (
    FORMAT,
    REQUIRED,
    RunDirectory,
    default_out,
    find_runs,
    read_jsonl,
    run_status,
)
from multigan.storage.files import write_atomically

EMPTY = {name: kind() for name, kind in REQUIRED.items()}
CONFIG = EMPTY | {"name": "points", "recipe": {"steps": 10}}


def created(path, overwrite=False):
    run = RunDirectory(path)
    run.create(CONFIG, None, overwrite)
    return run


def test_a_config_is_read_back_with_its_format(tmp_path):
    run = created(tmp_path / "run")
    assert run.read_config() == CONFIG | {"format": FORMAT}
    assert run.checkpoints.is_dir() and run.samples.is_dir()


def test_a_directory_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for overwrite, text in (
        (False, "is not empty"),
        (True, "holds no run; --overwrite replaces runs"),
    ):
        with pytest.raises(ValueError, match=text):
            created(tmp_path, overwrite)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ValueError, match="is not empty"):
        created(tmp_path / "thesis.txt")


def test_overwrite_replaces_a_run(tmp_path):
    run = created(tmp_path / "run")
    run.log.write_text("old")
    with pytest.raises(ValueError, match="--overwrite"):
        created(run.path)
    created(run.path, overwrite=True)
    assert not run.log.exists()


class Killed(BaseException):
    """The process ends here."""


def kill_at(monkeypatch, number):
    """End the process at the `number`-th of the calls by which a run directory is made."""
    calls = iter(range(1000))

    def fatal(function):
        def call(*arguments, **settings):
            if next(calls) == number:
                raise Killed
            return function(*arguments, **settings)

        return call

    for owner, name in ((os, "fsync"), (os, "replace"), (shutil, "rmtree"), (os, "mkdir")):
        monkeypatch.setattr(owner, name, fatal(getattr(owner, name)))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # nothing is cleared up


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_while_the_directory_is_made_leaves_it_free_or_a_run(
    overwrite, tmp_path, monkeypatch
):
    for number in range(100):
        run = RunDirectory(tmp_path / str(number))
        if overwrite:
            created(run.path)
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            try:
                run.create(CONFIG, Path(__file__), overwrite)
            except Killed:
                pass
            else:
                break
        if (run.path / "recipe.json").exists():
            assert run.read_config()["name"] == "points"
            run.clean_up()
        else:
            created(run.path)
        assert {path.name for path in run.path.iterdir()} <= {
            *("recipe.json", "recipe.py", "checkpoints", "samples")
        }
        assert run.checkpoints.is_dir() and run.samples.is_dir()
    assert number > 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no run directory"),
        ('{"format": 2, "name"', "is damaged"),
        ("[]", "has format None; this version reads format 2"),
        (json.dumps(CONFIG | {"format": 99}), "has format 99; this version reads format 2"),
        (json.dumps(CONFIG | {"format": 1}), "format 1 is read by multigan 0.1; this version re"),
        ('{"format": 2}', "lacks fingerprint, flags, horizon, hyperparameters, name, recipe, seed"),
    ],
)
def test_a_missing_or_damaged_config_is_refused_in_one_line(text, message, tmp_path):
    if text is not None:
        (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        RunDirectory(tmp_path).read_config()
    assert "\n" not in str(caught.value)


def test_logs_are_cut_back_to_a_step_and_a_torn_last_line_is_forgotten(tmp_path):
    run = created(tmp_path / "run")
    for step in (1, 2, 3):
        run.append(run.log, {"step": step})
    with run.log.open("a") as stream:
        stream.write('{"step": 4, "lo')
    run.truncate_after(2)
    assert list(read_jsonl(run.log)) == [{"step": 1}, {"step": 2}]
    run.append(run.log, {"step": 3})
    assert [line["step"] for line in read_jsonl(run.log)] == [1, 2, 3]
    assert not run.metrics.exists()


def test_a_write_that_is_broken_off_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "file"
    write_atomically(file, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_the_default_name_is_the_first_free_number(tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "RUNS", tmp_path)
    assert default_out("benchmarks/ring").name == "ring-0001"
    (tmp_path / "ring-0001").mkdir()
    assert default_out("./ring").name == "ring-0002"


def test_runs_are_found_with_their_state_and_last_step(tmp_path):
    unfinished, finished = created(tmp_path / "a"), created(tmp_path / "b")
    (unfinished.checkpoints / "step-000000004").mkdir()
    finished.write_config(CONFIG | {"ended": "finished"})
    (tmp_path / "neither").mkdir()
    states = [run_status(run) for run in find_runs(tmp_path)]
    assert [state["state"] for state in states] == ["unfinished", "finished"]
    assert [state["step"] for state in states] == [4, 0]
    assert states[0]["next"] == f"multigan resume {tmp_path / 'a'}"


def test_runs_of_objects_of_the_caller_are_continued_in_python(tmp_path):
    own = {"component": "caller/Mine", "arguments": {}}
    for name, place in (("data", "data"), ("network", "generator")):
        run = created(tmp_path / name)
        changed = CONFIG | {"recipe": CONFIG["recipe"] | {place: own}}
        run.write_config(changed)
        resumed = f"train(recipe, out={str(run.path)!r}, resume=True)"
        assert run_status(run)["next"] == f"in Python, with the same objects: {resumed}"
        run.write_config(changed | {"ended": "finished"})
        loaded = f"in Python, with the same objects: load({str(run.path)!r}, trust=recipe)"
        sampled = f"multigan sample {run.path}"
        assert run_status(run)["next"] == (loaded if place == "generator" else sampled)


def test_a_damaged_run_does_not_hide_the_others(tmp_path):
    created(tmp_path / "a")
    (created(tmp_path / "b").path / "recipe.json").write_text("{")
    states = [run_status(run) for run in find_runs(tmp_path)]
    assert [state["state"] for state in states] == ["unfinished", "damaged"]
    assert "b/recipe.json is damaged" in states[1]["next"]


def test_a_link_in_a_run_is_refused_with_the_fix_and_a_link_to_a_run_is_followed(tmp_path):
    run, disk = created(tmp_path / "run"), tmp_path / "disk"
    (tmp_path / "link").symlink_to(run.path)
    RunDirectory(tmp_path / "link").reject_links()
    shutil.move(run.checkpoints, disk)
    run.checkpoints.symlink_to(disk)
    with pytest.raises(
        ValueError, match=r"checkpoints must be a file .* got a link .* move the whole run"
    ):
        run.reject_links()
