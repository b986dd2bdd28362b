"""Every error of a command is one line and an exit status."""

import errno
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import save_file

from multigan.cli import app, recipes
from multigan.cli.errors import one_line
from multigan.core.recipe_file import recipe_names
from multigan.runs import checkpoint
from multigan.storage.weights import unique_state
from multigan.training import loop
from tests.run_helpers import STEPS, assert_equal_runs, edit_json, python, snapshot, tiny_recipe

pytestmark = pytest.mark.filterwarnings("default")  # a command says its warnings itself
OFTEN = f"--tiny --steps {STEPS} --log-every 1 --save-every 2 --sample-every 1000"


def test_a_message_is_one_line_that_no_terminal_obeys():
    assert one_line("a\n b \x1b[31m\x9b1m\u202ec\udce9") == "a b \\x1b[31m\\x9b1m\\u202ec\\xe9"
    assert one_line("é 😍 你") == "é 😍 你"
    assert len(one_line("x" * 100_000)) < 2100


@pytest.fixture
def say(capsys, monkeypatch, tmp_path):
    """Run one command in an empty folder: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def command(line):
        status = app.main(line.split())
        return status, *capsys.readouterr()

    return command


@pytest.fixture
def refused(say, tmp_path):
    """Run a command that cannot be: its one line, after checking that nothing was written."""

    def command(line, status=2):
        before = snapshot(tmp_path)
        found, out, err = say(line)
        assert (found, out) == (status, "")
        lines = [text for text in err.splitlines() if not text.startswith("warning: ")]
        assert len(lines) == 1 and lines[0].startswith("error: "), err
        assert snapshot(tmp_path) == before
        return lines[0]

    return command


@pytest.fixture
def copied(points_run, tmp_path):
    """A copy of a finished run, as ./run."""
    return Path(shutil.copytree(points_run, tmp_path / "run"))


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("train points --tiny --setps 5", "--setps"),
        ("train points --tiny --steps many", "Invalid value for '--steps'"),
        ("train points --tiny --steps 0", "steps must be 1 or more; got 0"),
        ("train points --tiny --loss hinges", "loss must be one of nonsaturating, minimax, hinge"),
        ("train points --tiny --mixture cube", "mixture must be one of grid, ring; got 'cube'"),
        ("train points --tiny --save-every 0", "save_every must be 1 or more; got 0"),
        ("train points --tiny --device quantum", "device 'quantum' is unknown; known: auto"),
        ("train points --tiny --precision fp7", "precision must be one of fp32, bf16; got 'fp7'"),
        ("train points --tiny --init-from nowhere", "nowhere must be a run directory or a weight"),
        ("train pionts --tiny", "recipe 'pionts' is unknown; did you mean points?"),
        ("train ./missing.py", "recipe file missing.py does not exist"),
        ("show pionts", "did you mean points?"),
        ("tarin points", "tarin"),
        ("resume nowhere", "nowhere is no run directory"),
        ("sample nowhere", "nowhere must be a run directory or a weight file"),
        ("interpolate nowhere", "nowhere must be a run directory or a weight file"),
        ("evaluate nowhere", "nowhere is no run directory"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(line, answer, refused):
    assert answer in refused(line)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("sample run --label 3", "--label"),
        ("sample run -n -1", "num_samples must be 1 or more; got -1"),
        ("sample run --seed one", "Invalid value for '--seed'"),
        ("evaluate run --split all", "split must be one of train, valid, test; got 'all'"),
        ("evaluate run --data elsewhere", "has no source that --data could replace"),
        ("interpolate run --num-steps 1", "num_steps must be 2 or more; got 1"),
        ("train points --tiny --out run", "run is not empty; choose another --out, or --overwrite"),
        ("copy points run/recipe.py", "exists already: choose another name"),
    ],
)
def test_a_mistake_about_a_run_is_one_line(line, answer, copied, refused):
    assert answer in refused(line)


def test_an_unknown_or_truncated_weight_file_is_one_line(copied, refused):
    weights = copied / "checkpoints" / "best" / "generator_ema.safetensors"
    Path("cut.safetensors").write_bytes(weights.read_bytes()[:-10])
    save_file(unique_state(tiny_recipe("points").generator), "foreign.safetensors")
    assert "must be an intact safetensors file" in refused("sample cut.safetensors")
    assert "must carry a description by multigan" in refused("sample foreign.safetensors")
    shutil.copy(copied / "checkpoints/step-000000006/discriminator.safetensors", "d.safetensors")
    assert "must describe a generator" in refused("sample d.safetensors")


@pytest.mark.parametrize("name", ["os/system", "points/__init__", "../x", "points/MLPGenerator"])
def test_an_unknown_component_of_a_mailed_file_is_one_line(name, refused):
    described = {"format": 2, "domain": {"component": name}, "generator": {"component": name}}
    tensors = unique_state(tiny_recipe("points").generator)
    save_file(tensors, "mailed.safetensors", metadata={"multigan": json.dumps(described)})
    answer = refused("sample mailed.safetensors")
    assert f"component {name!r}" in answer or "must describe a domain" in answer


def test_a_run_without_a_whole_checkpoint_is_one_line(copied, refused):
    for file in copied.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    assert "has no complete checkpoint yet; nothing to sample from" in refused("sample run")


@pytest.mark.parametrize("name", ["os/system", "points/__init__", "../x", "points/Transformer"])
def test_an_unknown_component_of_a_run_is_one_line_and_runs_nothing(name, copied, refused):
    recipe = json.loads((copied / "recipe.json").read_text())["recipe"]
    hostile = {"component": name, "arguments": {"command": "touch executed"}}
    edit_json(copied / "recipe.json", recipe=recipe | {"generator": hostile})
    assert f"component {name!r}" in refused("resume run")
    edit_json(copied / "recipe.json", recipe=recipe | {"data": hostile})
    assert f"component {name!r}" in refused("evaluate run")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({"wdith": 4}, "unexpected keyword argument 'wdith'"),
        ({"width": "wide"}, "points/MLPGenerator"),
        ({"width": 0}, "inputs, width and depth must be 1 or more; got 2, 0, 3"),
    ],
)
def test_arguments_that_a_component_refuses_are_one_line(arguments, answer, copied, refused):
    recipe = json.loads((copied / "recipe.json").read_text())["recipe"]
    generator = {"component": "points/MLPGenerator", "arguments": arguments}
    edit_json(copied / "recipe.json", recipe=recipe | {"generator": generator})
    assert answer in refused("resume run")


def test_the_recipe_file_in_a_run_is_never_executed(copied, say):
    (copied / "recipe.py").write_text("open('executed', 'w')\n")
    for line in ("sample run -n 2", "evaluate run", f"resume run --steps {STEPS + 1}"):
        assert say(line)[0] == 0
    assert not Path("executed").exists()


def fail_from(monkeypatch, step, error):
    """Let the checkpoint of `step` and all later ones fail half-way."""
    save = checkpoint.save_weights

    def save_until_full(path, network, description):
        if path.parent.name >= f".step-{step:09d}" and path.stem == "discriminator":
            raise error
        save(path, network, description)

    monkeypatch.setattr(checkpoint, "save_weights", save_until_full)


def test_a_full_disk_is_one_line_and_the_last_checkpoint_can_be_resumed(
    say, points_run, monkeypatch
):
    with monkeypatch.context() as patch:
        fail_from(patch, 4, OSError(errno.ENOSPC, "No space left on device", "run/x"))
        status, _, err = say(f"train points {OFTEN} --out run")
    assert status == 1 and err.splitlines()[-1] == "error: No space left on device (run/x)"
    folders = sorted(path.name for path in Path("run/checkpoints").iterdir())
    assert folders[-1] == "step-000000002" and not any(".tmp" in name for name in folders)
    assert say("sample run -n 1")[0] == say("resume run")[0] == 0
    assert_equal_runs(points_run, Path("run"), STEPS)


def test_a_training_that_diverges_is_one_line_and_keeps_its_last_checkpoint(say):
    status, _, err = say(f"train points {OFTEN} --lr 1e30 --out run")
    assert status == 1
    assert "is not finite, so training stopped; the last finite checkpoint" in err.splitlines()[-1]
    assert say("sample run -n 1")[0] == 0


def test_an_internal_error_is_one_line_with_the_way_to_a_traceback(say, monkeypatch):
    def break_down(*_):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(loop.Loop, "_log", break_down)
    status, _, err = say(f"train points {OFTEN} --out run")
    assert status == 1
    assert err.splitlines()[-1] == (
        "error: RuntimeError: two lines "
        "(internal error; set MULTIGAN_TRACEBACK=1 for the traceback)"
    )


def test_no_command_shows_the_help_and_nothing_else(say):
    status, out, err = say("")
    assert status == 2 and "Usage" in out + err and "error" not in err


def test_ctrl_c_outside_a_training_ends_with_130(say, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "read_recipe", interrupt)
    assert say("show points")[0] == 130


def test_help_and_list_import_no_torch_and_take_no_time():
    code = """
import sys, time
from multigan.cli import app
for line in (["--help"], ["list"], ["train", "points", "--help"], ["--version"]):
    assert app.main(line) == 0, line
assert "torch" not in sys.modules
assert time.process_time() < 2, time.process_time()
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout and "--batch-size" in done.stdout
    assert all(name in done.stdout for name in recipe_names())
    assert done.stdout.splitlines()[-1].startswith("multigan ")
