"""Provenance of a run that can be published: its command and its redacted config."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multigan.core.recipe_file import read_recipe
from multigan.runs.train_options import LIKELIHOOD_INTERVALS, StageOptions, TrainOptions

IRRELEVANT = {"log", "report"}  # flags that do not change the results
REDACTED = {"flags", LIKELIHOOD_INTERVALS, "init"}
RECIPE_OBJECT = "recipe-object"  # the name of a run of a `Recipe`, which no command trains
MAX_PATH_LENGTH = 4096  # characters


def train_command(config: Mapping[str, Any]) -> str:
    """Return the command line that trains a run again.

    It holds the hyperparameters and flags that differ from their defaults; all hyperparameters if
    the recipe cannot be read. None values are omitted.
    """
    if config["name"] == RECIPE_OBJECT:
        return f"train(recipe, seed={config['seed']})  # in Python, with the objects of this run"
    words = ["multigan", "train", str(config["name"])]
    for name, value in changed_options(config).items():
        words += _option(name.replace("_", "-"), value)
    return shlex.join(words)


def changed_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters and flags of a run that differ from their defaults, and its seed.

    These are all hyperparameters if the recipe cannot be read.
    """
    values, recipe = dict(config["hyperparameters"]), config["recipe"]
    flags = _non_default_flags(config, values.get("steps") or recipe["steps"])
    if "steps" in values:
        values["steps"] = recipe["steps"]  # resume may have extended it
    try:
        defaults = {h.name: h.default for h in read_recipe(config["name"]).hyperparameters}
    except ValueError:
        defaults = {}
    options = {k: v for k, v in values.items() if k not in defaults or str(defaults[k]) != str(v)}
    if isinstance(init := config.get("init"), dict) and "source" in init:
        flags["init_from"] = init["source"]
    return options | flags | {"seed": config["seed"]}


def _non_default_flags(config: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Flags that change the results and differ from the defaults for a run of `steps` steps."""
    likelihood_steps = config["recipe"].get("likelihood_steps")
    lengths = [n if isinstance(n, int) else 0 for n in (steps, likelihood_steps)]
    defaults = StageOptions.resolved(TrainOptions(), *lengths)
    flags, intervals = defaults.adversarial.to_json(), defaults.likelihood.intervals()
    stored, own = config["flags"], config.get(LIKELIHOOD_INTERVALS, intervals)
    given = {k for k in flags if k in stored and stored[k] != flags[k]}
    given |= {k for k in intervals if isinstance(own, Mapping) and own.get(k) != intervals[k]}
    return {k: v for k, v in stored.items() if k in given and k not in IRRELEVANT}


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [] if value is None else [f"--{name}", str(value)]


def redacted_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config without flags and without local folders."""
    kept = {k: v for k, v in config.items() if k not in REDACTED}
    return strip_local_paths(kept) | {"flags": {}}


def strip_local_paths(tree: Any) -> Any:
    """Replace each absolute path that exists on this machine by its last component."""
    if isinstance(tree, Mapping):
        return {key: strip_local_paths(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [strip_local_paths(value) for value in tree]
    return Path(tree).name if isinstance(tree, str) and _is_local_path(tree) else tree


def _is_local_path(text: str) -> bool:
    if len(text) > MAX_PATH_LENGTH or "\0" in text or not Path(text).is_absolute():
        return False
    try:
        return Path(text).exists()
    except OSError:  # a component that is too long
        return False
