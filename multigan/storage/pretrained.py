"""Ready-made generators: trained ones that the package carries, found by name. Imports no torch.

Each is `ready/NAME.safetensors`, one weight file, and `ready/NAME.json`, what is known of it: its
`recipe` as in a run's recipe.json, the `metrics` it was measured to have, the `command` that made
it, and how it is `stored`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from multigan.core.recipe_file import suggest

MOST_BYTES = 3_000_000  # of a weight file in the package


def pretrained_dir() -> Path:
    """Where the package carries them."""
    return Path(__file__).parent / "pretrained_weights"


def list_pretrained() -> dict[str, Path]:
    """Name -> weight file."""
    return {file.stem: file for file in sorted(pretrained_dir().glob("*.safetensors"))}


def pretrained_metadata(name: str) -> dict[str, Any]:
    """What is known of a ready-made generator. Raises ValueError for an unknown name."""
    if name not in list_pretrained():
        raise ValueError(f"no ready-made generator {name!r}; {suggest_pretrained(name)}")
    return json.loads(list_pretrained()[name].with_suffix(".json").read_text())


def suggest_pretrained(name: str) -> str:
    """`did you mean ...?`, the known names, or that there are none."""
    names = list_pretrained()
    return suggest(name, names) if names else "this package carries none"
