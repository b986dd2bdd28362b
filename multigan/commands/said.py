"""What commands share: a run as their argument, and a last line for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from multigan.run.directory import RUNS


def run_paths(incomplete: str) -> list[str]:
    """What a shell offers for a run: runs that begin so, and folders that may hold some."""
    shown = Path(incomplete)
    folder = shown if incomplete.endswith("/") or not incomplete else shown.parent
    places = [folder, *([RUNS] if not incomplete else [])]
    found = [path for place in places for path in sorted(place.glob("*")) if path.is_dir()]
    runs = [str(path) for path in found if (path / "recipe.json").is_file()]
    others = [f"{path}/" for path in found if any(path.glob("*/recipe.json"))]
    return [name for name in [*runs, *others] if name.startswith(incomplete)]


RunPath = Annotated[Path, typer.Argument(autocompletion=run_paths, help="the run's directory")]
RunPaths = Annotated[list[Path], typer.Argument(autocompletion=run_paths, help="two or more runs")]
Json = Annotated[bool, typer.Option("--json", help="end with one line of JSON")]


def print_json(content: Mapping[str, Any] | list[Any]) -> None:
    """One line; paths become strings."""
    print(json.dumps(content, default=str))


def counted(n: int, what: str) -> str:
    """As people say it: 1 file, 2 files."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
