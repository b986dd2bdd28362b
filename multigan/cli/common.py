"""Arguments, options and output helpers that several commands share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from multigan.core.recipe_file import run_recipe_file
from multigan.core.signature import Option, options_of
from multigan.runs.directory import RUNS


def complete_run_paths(incomplete: str) -> list[str]:
    """What a shell offers for a run: runs that begin so, and folders that may hold some."""
    shown = Path(incomplete)
    folder = shown if incomplete.endswith("/") or not incomplete else shown.parent
    places = [folder, *([RUNS] if not incomplete else [])]
    found = [path for place in places for path in sorted(place.glob("*")) if path.is_dir()]
    runs = [str(path) for path in found if (path / "recipe.json").is_file()]
    others = [f"{path}/" for path in found if any(path.glob("*/recipe.json"))]
    return [name for name in [*runs, *others] if name.startswith(incomplete)]


RunPath = Annotated[
    Path, typer.Argument(autocompletion=complete_run_paths, help="the run's directory")
]
RunPaths = Annotated[
    list[Path], typer.Argument(autocompletion=complete_run_paths, help="two or more runs")
]
Json = Annotated[bool, typer.Option("--json", help="end with one line of JSON")]


def print_json(content: Mapping[str, Any] | list[Any]) -> None:
    """One line; paths become strings."""
    print(json.dumps(content, default=str))


def pluralize(n: int, what: str) -> str:
    """As people say it: 1 file, 2 files."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def print_columns(rows: Sequence[tuple[str, ...]], indent: str = "") -> None:
    """Print the rows, every column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print((indent + "  ".join(cells)).rstrip())


Trust = Annotated[
    Path | None, typer.Option(help="a recipe file to execute for the classes defined in it")
]
COMMON_OPTIONS = [
    Option("seed", int, "another seed, other samples", "0"),
    Option("device", str, "auto, cpu, cuda or mps", "cpu"),
    Option("trust", Path, "a recipe file to execute for the classes defined in it"),
]


def sampling_options(path: str) -> list[Option]:
    """The options of the domain that a run or weight file belongs to."""
    from multigan.core.serialization import RECIPE_DOMAIN, get_component
    from multigan.storage.checkpoint_files import resolve_weights_file
    from multigan.storage.weights import read_description

    domain = read_description(resolve_weights_file(Path(path)))["domain"]
    if domain["component"].startswith(
        RECIPE_DOMAIN
    ):  # its file is not executed to learn its wishes
        return []
    sample = getattr(
        get_component(domain["component"]), "sample", None
    )  # None: load() will say why
    return [] if sample is None else options_of(sample)


def load_sampler(path: str, device: str = "cpu", trust: Path | None = None) -> Any:
    """The loaded generator of a run or weight file."""
    from multigan.storage.loading import load
    from multigan.training.device import pick_device

    return load(path, trust=load_trusted_recipe(trust), device=pick_device(device))


def load_trusted_recipe(file: Path | None) -> Any:
    """The executed recipe file that the user named with --trust, or None."""
    return None if file is None else run_recipe_file(file)
