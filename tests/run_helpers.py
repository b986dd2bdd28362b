"""What the law tests share: the domains there are, their tiny recipes, and runs of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from multigan.core.evaluation_size import small_evaluations
from multigan.core.recipe import Recipe, recipe_to_json
from multigan.core.recipe_file import (
    build_recipe,
    read_recipe,
    recipe_names,
    resolve_hyperparameters,
)
from multigan.core.serialization import domains, to_config
from multigan.engine import neighbors
from multigan.music.datasets.sources import COMPOSED
from multigan.report import sample_media
from multigan.runs.checkpoint import save_generator
from multigan.runs.directory import RunDirectory, read_jsonl
from multigan.training.launch import resume, train
from multigan.training.loop import Run

DOMAINS = [name for name in domains() if name in recipe_names()]
REPOSITORY = Path(__file__).parent.parent
STEPS = 6
COMPOSED.update(train=48, valid=24, test=24)  # songs by rule: enough for tiny runs
USUAL_PRODUCTS = neighbors.MAX_PRODUCTS
neighbors.MAX_PRODUCTS = 2e8  # of distances in an evaluation: of fewer items where they are large
sample_media.NUM_STEPS = 3  # of the interpolation in a report: each is a plot or more
OFTEN: dict[str, Any] = {"log_every": 1, "save_every": 2, "sample_every": 1000, "report": False}


def tiny_recipe(name: str, seed: int = 0, **hyperparameters: Any) -> Recipe:
    """The packaged recipe with its TINY values, built afresh."""
    file = read_recipe(name)
    return build_recipe(file, resolve_hyperparameters(file, hyperparameters, tiny=True), seed)


def steps_before(name: str) -> int:
    """Steps of the likelihood stage in a recipe with its TINY values."""
    return resolve_hyperparameters(read_recipe(name), {}, tiny=True).get("likelihood_steps", 0)


def train_tiny(recipe: str | Path, out: Path, **options: Any) -> Run:
    """A run of a few steps that logs each of them and saves every second one.

    It evaluates little, so `cache_dir` must be a folder of such runs, and resume_tiny resumes it.
    """
    settings = {"steps": STEPS, "show": False, **OFTEN} | options
    with small_evaluations():
        return train(recipe, tiny=True, out=str(out), **settings)


def untrained_run(name: str, out: Path) -> Path:
    """A run of a packaged recipe that has ended before its first step: its initial generator."""
    recipe = tiny_recipe(name)
    parts = {"domain": recipe.data.domain, "generator": recipe.generator}
    description = {
        "name": name,
        "hyperparameters": {},
        "flags": {},
        "seed": 0,
        "horizon": recipe.steps,
        "fingerprint": recipe.data.fingerprint,
        "recipe": recipe_to_json(recipe),
    }
    RunDirectory(out).create(description, None, overwrite=False)
    save_generator(out, "best", recipe.generator, {k: to_config(v) for k, v in parts.items()})
    return out


def resume_tiny(run: Path, **options: Any) -> Run:
    """Resume a run of `train_tiny`."""
    with small_evaluations():
        return resume(run, **{"show": False} | options)


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The lines of a log, without the seconds that they took."""
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_jsonl(file)]


def logs_of(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Both logs of a run, without seconds."""
    directory = RunDirectory(run)
    return {"log": lines_of(directory.log), "metrics": lines_of(directory.metrics)}


def weights_at(run: Path, step: int) -> dict[str, torch.Tensor]:
    """Every tensor of the three networks and of the training state at a checkpoint, by name."""
    folder = run / "checkpoints" / f"step-{step:09d}"
    tensors = {
        f"{file.stem}.{name}": tensor
        for file in folder.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }
    state = torch.load(folder / "train_state.pt", weights_only=True)
    return tensors | _leaves({k: v for k, v in state.items() if k != "seconds"}, "state")


def _leaves(tree: Any, name: str) -> dict[str, torch.Tensor]:
    if isinstance(tree, dict):
        branches = [_leaves(item, f"{name}.{key}") for key, item in tree.items()]
    elif isinstance(tree, list | tuple):
        branches = [_leaves(item, f"{name}.{key}") for key, item in enumerate(tree)]
    else:
        missing = tree is None or isinstance(tree, str)
        return {name: torch.tensor([]) if missing else torch.as_tensor(tree)}
    return {key: leaf for branch in branches for key, leaf in branch.items()}


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal bit by bit; NaN, of a figure that was not measured, equals NaN."""
    if not one.is_floating_point() or one.shape != other.shape:
        return torch.equal(one, other)
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(
        one.nan_to_num(nan=0.0), other.nan_to_num(nan=0.0)
    )


def assert_equal_runs(one: Path, other: Path, step: int) -> None:
    """Every tensor at `step` and every line of both logs is equal, bit by bit."""
    first, second = weights_at(one, step), weights_at(other, step)
    assert first.keys() == second.keys()
    assert [name for name in first if not _equal(first[name], second[name])] == []
    assert logs_of(one) == logs_of(other)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def edit_json(file: Path, **changes: Any) -> None:
    """Replace values at the top of a JSON file, by hand: without a checksum."""
    content = json.loads(file.read_text()) | changes
    content.pop("checksum", None)
    file.write_text(json.dumps(content))


def python(*arguments: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter with one thread does; `path` stands in front of PYTHONPATH."""
    path = os.pathsep.join([str(settings.pop("path", "")), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path.strip(os.pathsep)},
        **settings,
    )
