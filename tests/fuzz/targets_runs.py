"""Files of a run directory, and weight files that were mailed."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import torch

from tests.fuzz.reader import Reader


def _run_descriptions(_: Path) -> list[bytes]:
    """A recipe.json that was edited by hand: without its checksum."""
    from multigan.core.recipe import recipe_to_json
    from multigan.runs.directory import FORMAT
    from multigan.runs.train_options import TrainOptions
    from tests.run_helpers import tiny_recipe

    recipe = tiny_recipe("points")
    description = {"format": FORMAT, "name": "points", "hyperparameters": {"steps": 20}, "seed": 0}
    description |= {"flags": TrainOptions().resolved(20).to_json(), "horizon": 20}
    description |= {"likelihood_intervals": TrainOptions().resolved(400).intervals()}
    description |= {"fingerprint": recipe.data.fingerprint, "recipe": recipe_to_json(recipe)}
    return [json.dumps(description).encode()]


def _read_run_description(path: Path) -> None:
    """What `list --runs`, `evaluate` and `resume` read, up to the first step."""
    from multigan.runs.directory import RunDirectory, run_status
    from multigan.storage.loading import load_data
    from multigan.training.launch import resume

    run = RunDirectory(path.parent)
    run_status(run)
    load_data(run.read_config()).split("valid")
    with mock.patch("multigan.training.launch._run"):  # all but the training itself
        resume(run.path, show=False)


def _weight_files(folder: Path) -> list[bytes]:
    from multigan.core.serialization import from_config
    from multigan.storage.weights import save_weights
    from tests.storage.test_weights import DOMAIN, GENERATOR

    description = {"domain": DOMAIN, "generator": GENERATOR}
    save_weights(folder / "good.safetensors", from_config(GENERATOR), description)
    return [(folder / "good.safetensors").read_bytes()]


def _read_weights(path: Path) -> None:
    from multigan.storage.loading import load

    load(path).sample(1)


def _weight_descriptions(_: Path) -> list[bytes]:
    from tests.storage.test_weights import DOMAIN, GENERATOR

    return [json.dumps({"format": 2, "domain": DOMAIN, "generator": GENERATOR}).encode()]


def _read_weights_so_described(path: Path) -> None:
    """A whole safetensors file whose description is the input."""
    from safetensors.torch import save_file

    from multigan.cli.common import sampling_options
    from multigan.core.serialization import from_config
    from tests.storage.test_weights import GENERATOR

    file = path.with_suffix(".safetensors")
    text = path.read_bytes().decode("utf-8", "replace")
    save_file(from_config(GENERATOR).state_dict(), file, metadata={"multigan": text})
    sampling_options(str(file))
    _read_weights(file)


def _logs(_: Path) -> list[bytes]:
    lines = [{"step": k, "loss/generator": 0.5 / k, "diagnostics": {"a": "b"}} for k in range(1, 9)]
    return ["".join(json.dumps(line) + "\n" for line in lines).encode()]


def _read_log(path: Path) -> None:
    from multigan.runs.directory import RunDirectory, read_jsonl

    list(read_jsonl(path))
    RunDirectory(path.parent).truncate_after(4)


def _manifests(_: Path) -> list[bytes]:
    from multigan.runs.checkpoint import STATE

    return [json.dumps({STATE: "0" * 64, "generator.safetensors": "1" * 64}).encode()]


def _read_manifest(path: Path) -> None:
    from multigan.storage.checkpoint_integrity import find_corruption

    for name in ("train_state.pt", "generator.safetensors"):
        (path.parent / name).write_bytes(b"")
    assert find_corruption(path.parent)


def _states(folder: Path) -> list[bytes]:
    state = {"trainer": {"number": 3, "adam": [torch.ones(2)]}, "best": 0.5, "meter": {}}
    torch.save(state, folder / "good.pt")
    return [(folder / "good.pt").read_bytes()]


def _read_state(path: Path) -> None:
    from multigan.runs.checkpoint import load_training_state

    load_training_state(path)


READERS = {
    "recipe.json": Reader(
        "recipe.json", _run_descriptions, _read_run_description, is_json=True, names_file=False
    ),
    "safetensors": Reader("x.safetensors", _weight_files, _read_weights, names_file=False),
    "description in safetensors": Reader(
        "x.json", _weight_descriptions, _read_weights_so_described, is_json=True, names_file=False
    ),
    "log.jsonl": Reader("log.jsonl", _logs, _read_log),
    "manifest.json": Reader("manifest.json", _manifests, _read_manifest, is_json=True),
    "train_state.pt": Reader("train_state.pt", _states, _read_state, share=0.5),
}
