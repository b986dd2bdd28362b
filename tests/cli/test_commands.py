"""What the commands do when all goes well, and what `--trust`, `--init-from` and `--tiny` mean."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import multigan
from multigan.cli import app, train
from multigan.core.recipe_file import recipe_names
from multigan.runs.checkpoint import load_checkpoint
from multigan.training.loop import Loop
from tests.run_helpers import STEPS, lines_of, logs_of, snapshot, tiny_recipe

pytestmark = pytest.mark.filterwarnings("default")  # a command says its warnings itself
OFTEN = f"--tiny --steps {STEPS} --log-every 3 --save-every 3 --sample-every 1000"
MINE = '''"""My own generator."""

from torch import nn

from multigan.core.serialization import component
from multigan.points.dataset import GaussianMixture
from multigan.points.models import MLPDiscriminator
from multigan.points.models import MLPGenerator
from multigan.core.recipe import Recipe


TINY = {"steps": 2}
open("executed", "a").write("x")


@component
class MyGenerator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = MLPGenerator(width=width)
        self.sample_latent = self.body.sample_latent

    def forward(self, latent, condition=None):
        return self.body(latent)


def recipe(*, steps: int = 1000, width: int = 8) -> Recipe:
    return Recipe(
        data=GaussianMixture(size=100),
        generator=MyGenerator(width),
        discriminator=MLPDiscriminator(8, 1),
        steps=steps,
        batch_size=8,
    )
'''


@pytest.fixture
def say(capsys, monkeypatch, tmp_path):
    """Run one command in an empty folder; it succeeds: stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(line, status=0):
        found = app.main(line.split())
        out, err = capsys.readouterr()
        assert found == status, err
        return out + err

    return command


@pytest.fixture
def copied(points_run, tmp_path):
    """A copy of a finished run, as ./run."""
    return Path(shutil.copytree(points_run, tmp_path / "run"))


def test_training_says_where_everything_is(say):
    text = say(f"train points {OFTEN}")
    assert f"finished at step {STEPS}" in text and "multigan sample runs/points-0001" in text
    assert Path("runs/points-0001/samples/step-000000006.png").is_file()
    assert say(f"train points {OFTEN} --out runs/points-0001 --overwrite --no-report")
    assert [path.name for path in Path("runs").iterdir()] == ["points-0001"]


def test_flags_beside_tiny_win(say):
    say("train points --tiny --steps 2 --width 5 --out run --no-report")
    hyperparameters = json.loads(Path("run/recipe.json").read_text())["hyperparameters"]
    assert (hyperparameters["steps"], hyperparameters["width"], hyperparameters["batch_size"]) == (
        2,
        5,
        32,
    )


def test_sampling_twice_writes_the_same_bytes(copied, say):
    assert "5 samples: 1 file in one" in say("sample run -n 5 --out one")
    say("sample run -n 5 --out two")
    say("sample run -n 5 --seed 1 --out three")
    assert snapshot(Path("one")) == snapshot(Path("two")) != snapshot(Path("three"))


def test_sampling_writes_over_nothing(copied, say):
    assert "in samples/run-0001" in say("sample run -n 2")
    assert "in samples/run-0002" in say("sample run -n 3")
    assert "in samples/points-0001" not in say("sample run -n 2 --out mine")
    text = say("sample run -n 2 --out mine", status=2)
    assert "--out must be a new or empty folder; got mine, which is not empty" in text
    Path("empty").mkdir()
    say("sample run -n 2 --out empty")
    assert len(Path("samples/run-0002/points.csv").read_text().splitlines()) == 1 + 3


def test_one_weight_file_alone_is_enough_to_sample(copied, say, tmp_path, monkeypatch):
    say("sample run --out from_run")
    wanted = snapshot(Path("from_run"))
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(copied / "checkpoints" / "best" / "generator_ema.safetensors", empty / "mailed")
    shutil.rmtree(copied)
    monkeypatch.chdir(empty)
    say("sample mailed --out from_file")
    assert snapshot(Path("from_file")) == wanted


def test_the_help_of_sample_shows_the_options_of_its_domain(copied, say):
    text = say("sample run --help")
    assert (
        "--seed" in text and "-n" in text and "--num-samples" in text and "--trust-recipe" in text
    )


def test_list_and_show_say_what_there_is(say, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = say("list").splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(recipe_names())
    assert max(map(len, lines)) <= 80
    needs = [line.strip() for line in lines if line.startswith("  data: ")]
    assert len(needs) == len(recipe_names())
    digits = r"data: digits; time: \d+ CPU s, one thread"
    assert any(re.match(digits, line) for line in needs)
    points = needs[list(recipe_names()).index("points")]
    assert points.startswith("data: made by the recipe; time: 170 to 202 s of CPU")
    shown = say("show points")
    assert "multigan train points" in shown and "--batch-size" in shown
    assert "real points in one update" in shown


def test_runs_are_listed_with_what_to_do_next(copied, say):
    assert "no runs in runs" in say("list --runs")
    line = say("list --runs --folder .")
    assert line.split() == f"run finished step {STEPS} of {STEPS} multigan sample run".split()


def test_a_copied_recipe_trains(say):
    assert "multigan train mine.py" in say("copy points mine.py")
    assert Path("mine.py").read_bytes() == recipe_names()["points"].read_bytes()
    say("train mine.py --tiny --steps 2 --no-report")
    assert Path("runs/mine-0001/recipe.json").is_file()


def test_evaluating_prints_a_table_and_keeps_it(copied, say):
    text = say("evaluate run")
    assert {"real", "generator"} <= set(text.split()) and "total_variation ↓" in text
    assert "report    run/report.html" in text and (copied / "report.html").is_file()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert json.loads(say("evaluate run --json"))["rows"]["generator"]
    assert json.loads((copied / "evaluation.json").read_text()) == json.loads(
        say("evaluate run --json --seed 0")
    )


def test_interpolating_writes_paths(copied, say):
    text = say("interpolate run --num-paths 2 --num-steps 3 --out out")
    assert "out/paths.png" in text
    assert len(Path("out/points.csv").read_text().splitlines()) == 1 + 2 * 3


def test_interpolating_writes_over_nothing(copied, say, capsys):
    for number in (1, 2):
        text = say("interpolate run --num-paths 1 --num-steps 2")
        assert f"interpolations/run-000{number}/paths.png" in text
    assert app.main(["interpolate", "run", "--out", "interpolations/run-0001"]) == 2
    assert "--out must be a new or empty folder" in capsys.readouterr().err


def start_of(run):
    return {
        file.stem: load_file(file)
        for file in (run / "checkpoints" / "step-000000000").glob("*.safetensors")
    }


def test_a_file_without_a_generator_is_not_walked_in_and_said_to_be_so(copied, capsys):
    file = copied / "checkpoints" / f"step-{STEPS:09d}" / "discriminator.safetensors"
    for verb in ("sample", "interpolate"):
        assert app.main([verb, str(file)]) == 2
        assert "must describe a generator" in capsys.readouterr().err


def test_a_run_can_start_from_the_weights_of_another(copied, say, monkeypatch):
    monkeypatch.setattr(Loop, "run", lambda self: None)
    monkeypatch.setattr(train, "_report", lambda run, json: None)
    text = say(f"train points {OFTEN} --init-from run --out again --no-report")
    newest = copied / "checkpoints" / f"step-{STEPS:09d}"
    start = start_of(Path("again"))
    for name, tensor in load_file(newest / "generator_ema.safetensors").items():
        assert torch.equal(start["generator"][name], tensor)
        assert torch.equal(start["generator_ema"][name], tensor)
    last = load_file(newest / "discriminator.safetensors")
    assert all(torch.equal(start["discriminator"][name], last[name]) for name in last)
    assert "is fresh" not in text
    file = newest / "generator_ema.safetensors"
    text = say(f"train points {OFTEN} --init-from {file} --out from_file --no-report")
    assert "is fresh: discriminator (all of it)" in text


def test_what_does_not_fit_another_width_is_named(copied, say):
    text = say("train points --tiny --steps 2 --width 9 --init-from run --out wider --no-report")
    assert (
        "--init-from run: what it lacks, or does not fit, is fresh: generator.hidden.0.weight"
        in text
    )
    assert "discriminator.last.weight" in text
    assert "generator.last.bias" not in text and "discriminator.last.bias" not in text


def test_a_class_of_a_recipe_file_runs_only_where_that_file_is_trusted(say):
    Path("mine.py").write_text(MINE)
    assert "name that file with --trust" in say("train mine.py --tiny --out run --no-report")
    recipe = json.loads(Path("run/recipe.json").read_text())["recipe"]
    assert recipe["generator"] == {"component": "recipe/MyGenerator", "arguments": {"width": 8}}
    Path("executed").unlink()
    for line in ("sample run", "resume run --steps 3"):
        text = say(line, status=2)
        assert text.splitlines()[-1].startswith(
            "error: component recipe/MyGenerator is defined in a"
        )
        assert not Path("executed").exists()
    say("resume run --steps 3 --trust-recipe mine.py")
    assert "4 samples" in say("sample run -n 4 --trust-recipe mine.py")
    assert "generator" in say("evaluate run --trust-recipe mine.py")
    Path("other.py").write_text("x = 1")
    assert "defines no class MyGenerator" in say("sample run --trust-recipe other.py", status=2)


def test_event_files_are_written_for_tensorboard(say):
    pytest.importorskip("tensorboard")
    say(f"train points {OFTEN} --log tensorboard --out run --no-report")
    assert len(list(Path("run").glob("events.out.tfevents.*"))) == 1


def test_a_run_is_trained_and_sampled_from_python(tmp_path, cache):
    out = tmp_path / "library"
    settings = {"steps": 2, "save_every": 2, "report": False, "show": False}
    run = multigan.train("points", tiny=True, out=out, cache_dir=str(cache), **settings)
    assert (run.path, run.step, run.ended) == (out, 2, "finished")
    points = multigan.points.load(out).sample(3, seed=0)
    assert len(points) == 3 and points == multigan.load(out).sample(5, seed=0)[:3]
    assert multigan.resume(out, steps=4, extend_schedules=True, show=False).step == 4
    assert [line["step"] for line in lines_of(out / "metrics.jsonl")] == [2, 4]
    with pytest.raises(ValueError, match=r"has no hyperparameter 'setps'; did you mean steps\?"):
        multigan.train("points", setps=2)
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        multigan.trane  # noqa: B018


def test_the_networks_of_a_run_are_those_of_its_checkpoint(points_run):
    recipe = tiny_recipe("points")
    networks = {"generator": recipe.generator, "discriminator": recipe.discriminator}
    state = load_checkpoint(points_run, networks)
    assert state is not None and state["trainer"]["number"] == STEPS
    assert len(logs_of(points_run)["log"]) == STEPS
