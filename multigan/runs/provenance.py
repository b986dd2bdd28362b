"""Where a run comes from, as it may be shown to others: its command, and its description."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multigan.core.recipe_file import read_recipe
from multigan.runs.train_options import LIKELIHOOD_INTERVALS, TrainOptions, StageOptions

UNSAID = {"tensorboard", "report"}  # flags that make no other run
UNSHOWN = {"flags", LIKELIHOOD_INTERVALS, "init"}
LONGEST_PATH = 4096  # characters; what is longer is no path


def train_command(description: Mapping[str, Any]) -> str:
    """The line that trains such a run again: what differs from the defaults of recipe and flags.

    All knobs, where the recipe is not at hand. What is None is left out.
    """
    knobs, recipe = dict(description["knobs"]), description["recipe"]
    flags = _flags_given(description, knobs.get("steps") or recipe["steps"])
    if "steps" in knobs:
        knobs["steps"] = recipe["steps"]  # more than at first, perhaps
    try:
        defaults = {knob.name: knob.default for knob in read_recipe(description["name"]).knobs}
    except ValueError:
        defaults = {}
    options = {k: v for k, v in knobs.items() if k not in defaults or str(defaults[k]) != str(v)}
    if isinstance(init := description.get("init"), dict) and "source" in init:
        flags["init"] = init["source"]
    words = ["multigan", "train", str(description["name"])]
    for name, value in (options | flags | {"seed": description["seed"]}).items():
        words += _option(name.replace("_", "-"), value)
    return shlex.join(words)


def _flags_given(description: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The flags that make it another run, where they are not the defaults for so many steps."""
    learnt = description["recipe"].get("likelihood_steps")
    lengths = [n if isinstance(n, int) else 0 for n in (steps, learnt)]
    usual = StageOptions.settled(TrainOptions(), *lengths)
    flags, intervals = usual.game.to_json(), usual.likelihood.intervals()
    stored, own = description["flags"], description.get(LIKELIHOOD_INTERVALS, intervals)
    given = {k for k in flags if k in stored and stored[k] != flags[k]}
    given |= {k for k in intervals if isinstance(own, Mapping) and own.get(k) != intervals[k]}
    return {k: v for k, v in stored.items() if k in given and k not in UNSAID}


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [] if value is None else [f"--{name}", str(value)]


def redacted_config(description: Mapping[str, Any]) -> dict[str, Any]:
    """The description without what is nobody's business: flags, and folders of this machine."""
    kept = {k: v for k, v in description.items() if k not in UNSHOWN}
    return strip_local_paths(kept) | {"flags": {}}


def strip_local_paths(tree: Any) -> Any:
    """The tree with the last name of each absolute path that there is on this machine."""
    if isinstance(tree, Mapping):
        return {key: strip_local_paths(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [strip_local_paths(value) for value in tree]
    return Path(tree).name if isinstance(tree, str) and _is_place(tree) else tree


def _is_place(text: str) -> bool:
    if len(text) > LONGEST_PATH or "\0" in text or not Path(text).is_absolute():
        return False
    try:
        return Path(text).exists()
    except OSError:  # a name that is too long for a path
        return False
