"""Where a run comes from, as it may be shown to others: its command, and its description."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multigan.recipe_file import read_recipe, recipe_names

LONGEST_PATH = 4096  # characters; what is longer is no path


def command_of(description: Mapping[str, Any]) -> str:
    """The line that trains such a run again: the knobs that differ from the recipe's defaults.

    All knobs, where the recipe is not at hand.
    """
    knobs = dict(without_places(description["knobs"]))
    try:
        defaults = {knob.name: knob.default for knob in read_recipe(description["name"]).knobs}
    except ValueError:
        defaults = {}
    changed = {k: v for k, v in knobs.items() if k not in defaults or str(defaults[k]) != str(v)}
    return command_line(str(description["name"]), changed | {"seed": description["seed"]})


def command_line(recipe: str, options: Mapping[str, Any]) -> str:
    """`multigan train` of a recipe, a packaged one or a file of that name, with knobs and flags.

    What is None is left out.
    """
    words = ["multigan", "train", recipe if recipe in recipe_names() else f"{recipe}.py"]
    for name, value in options.items():
        words += _option(name.replace("_", "-"), value)
    return shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [] if value is None else [f"--{name}", str(value)]


def shown_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """The description without what is nobody's business: flags, and folders of this machine."""
    kept = {k: v for k, v in description.items() if k not in ("flags", "init")}
    return without_places(kept) | {"flags": {}}


def without_places(tree: Any) -> Any:
    """The tree with the last name of each absolute path that there is on this machine."""
    if isinstance(tree, Mapping):
        return {key: without_places(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_places(value) for value in tree]
    return Path(tree).name if isinstance(tree, str) and _is_place(tree) else tree


def _is_place(text: str) -> bool:
    if len(text) > LONGEST_PATH or "\0" in text or not Path(text).is_absolute():
        return False
    try:
        return Path(text).exists()
    except OSError:  # a name that is too long for a path
        return False
