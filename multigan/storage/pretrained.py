"""Ready-made generators: trained ones that the package carries, found by name. Imports no torch.

Each is `ready/NAME.safetensors`, one weight file, and `ready/NAME.json`, what is known of it: its
`recipe` as in a run's recipe.json, the `metrics` it was measured to have, the `command` that made
it, and how it is `stored`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from multigan.core.recipe_file import did_you_mean

MOST_BYTES = 3_000_000  # of a weight file in the package


def ready_folder() -> Path:
    """Where the package carries them."""
    return Path(__file__).parent / "pretrained_weights"


def ready_names() -> dict[str, Path]:
    """Name -> weight file."""
    return {file.stem: file for file in sorted(ready_folder().glob("*.safetensors"))}


def about(name: str) -> dict[str, Any]:
    """What is known of a ready-made generator. Raises ValueError for an unknown name."""
    if name not in ready_names():
        raise ValueError(f"no ready-made generator {name!r}; {closest(name)}")
    return json.loads(ready_names()[name].with_suffix(".json").read_text())


def closest(name: str) -> str:
    """`did you mean ...?`, the known names, or that there are none."""
    names = ready_names()
    return did_you_mean(name, names) if names else "this package carries none"
