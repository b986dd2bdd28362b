"""Pretrained generators that the package carries, found by name. Imports no torch.

Each is `pretrained_weights/NAME.safetensors`, one weight file, and NAME.json, its metadata: the
`recipe` as in a run's recipe.json, the `metrics` of its evaluation, the `command` that trained it,
and the precision in which it is `stored`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from multigan.core.recipe_file import suggest

MAX_FILE_BYTES = 3_000_000  # of a weight file in the package


def pretrained_dir() -> Path:
    """The folder of the packaged weight files."""
    return Path(__file__).parent / "pretrained_weights"


def refiners_dir() -> Path:
    """The folder of the refiners of the packaged generators, by their names."""
    return pretrained_dir() / "refiners"


def list_pretrained() -> dict[str, Path]:
    """Name -> weight file."""
    return _weight_files(pretrained_dir())


def list_refiners() -> dict[str, Path]:
    """Name of a packaged generator -> weight file of its refiner, of those that have one."""
    return _weight_files(refiners_dir())


def _weight_files(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(folder.glob("*.safetensors"))}


def pretrained_metadata(name: str) -> dict[str, Any]:
    """The metadata of a pretrained generator. Raises ValueError for an unknown name."""
    if name not in list_pretrained():
        raise ValueError(f"no pretrained generator {name!r}; {suggest_pretrained(name)}")
    metadata: dict[str, Any] = json.loads(list_pretrained()[name].with_suffix(".json").read_text())
    return metadata


def is_packaged(path: str | Path) -> bool:
    """Check that a path names a pretrained generator and no run."""
    return str(path) in list_pretrained() and not (Path(path) / "recipe.json").is_file()


def sampling_defaults(weights: Path) -> dict[str, Any]:
    """The options of its domain with which a packaged file is sampled unless others are given."""
    if weights.parent != pretrained_dir():
        return {}
    found: dict[str, Any] = pretrained_metadata(weights.stem).get("sampling", {})
    return found


def suggest_pretrained(name: str) -> str:
    """`did you mean ...?`, the known names, or that there are none."""
    names = list_pretrained()
    return suggest(name, names) if names else "this package carries none"
