"""On a GPU every domain trains, samples and evaluates as on the CPU: `pytest -m gpu tests`."""

from __future__ import annotations

import json

import pytest
import torch

from multigan.cli import app
from multigan.core.evaluation_size import small_evaluations
from multigan.core.recipe_file import read_recipe
from tests.run_helpers import DOMAINS, train_tiny

DEVICE = "cuda"
# All random numbers are drawn on the CPU, but for those of nn.Dropout, so that a first step differs
# by rounding alone. Later ones drift apart.
RELATIVE, ABSOLUTE = 1e-2, 1e-3
LOSSES = ("loss/discriminator", "loss/generator", "logits/real", "logits/fake")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("name", DOMAINS)
def test_a_run_on_a_gpu_is_that_of_the_cpu(name, tmp_path, cache, capsys):
    known = [item.name for item in read_recipe(name).hyperparameters]
    settings = {"dropout": 0.0} if "dropout" in known else {}
    lines = {}
    for side, device in (("expected", "cpu"), ("found", DEVICE)):
        run = train_tiny(name, tmp_path / side, device=device, cache_dir=cache, **settings)
        lines[side] = next(line for line in run.log if "loss/generator" in line)
    for key in LOSSES:
        expected = pytest.approx(lines["expected"][key], rel=RELATIVE, abs=ABSOLUTE)
        assert lines["found"][key] == expected, key

    samples = str(tmp_path / "samples")
    assert app.main(["sample", str(run.path), "-n", "2", "--device", "auto", "--out", samples]) == 0
    capsys.readouterr()
    with small_evaluations():
        command = ["evaluate", str(run.path), "--device", "auto", "--cache-dir", cache, "--json"]
        assert app.main(command) == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_weights_of_a_gpu_resume_on_the_cpu(tmp_path, cache):
    run = train_tiny("points", tmp_path / "run", device=DEVICE, cache_dir=cache)
    assert (
        app.main(["resume", str(run.path), "--steps", "8", "--device", "cpu", "--extend-schedules"])
        == 0
    )
    assert run.log[-1]["step"] == 8
