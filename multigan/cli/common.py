"""Arguments, options and output helpers that several commands share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import typer

from multigan.core.recipe_file import run_recipe_file
from multigan.core.signature import Option, options_of
from multigan.runs.directory import RUNS

if TYPE_CHECKING:
    from multigan.core.protocols import Sampler


def complete_run_paths(incomplete: str) -> list[str]:
    """Completions of a run's path: matching runs, and folders that hold some."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") or not incomplete else typed.parent
    folders = [folder, *([RUNS] if not incomplete else [])]
    found = [path for folder in folders for path in sorted(folder.glob("*")) if path.is_dir()]
    runs = [str(path) for path in found if (path / "recipe.json").is_file()]
    others = [f"{path}/" for path in found if any(path.glob("*/recipe.json"))]
    return [name for name in [*runs, *others] if name.startswith(incomplete)]


AUTO = "auto"  # the default device: the best available
DEVICE_HELP = "auto, cpu, cuda or mps"
TRUST_HELP = "recipe file to execute for the components that it defines"
CACHE_HELP = "folder for cached datasets and metric models (default: the user's cache)"

RunPath = Annotated[
    Path, typer.Argument(autocompletion=complete_run_paths, help="the run directory")
]
RunPaths = Annotated[
    list[Path], typer.Argument(autocompletion=complete_run_paths, help="two or more runs")
]
Json = Annotated[bool, typer.Option("--json", help="end with one line of JSON")]
Device = Annotated[str, typer.Option(help=DEVICE_HELP)]
TrustRecipe = Annotated[Path | None, typer.Option(help=TRUST_HELP)]
COMMON_OPTIONS = [
    Option("seed", int, "random seed", "0"),
    Option("device", str, DEVICE_HELP, AUTO),
    Option("trust_recipe", Path, TRUST_HELP),
]


def print_json(content: Mapping[str, Any] | list[Any]) -> None:
    """Print one line of JSON; paths become strings."""
    print(json.dumps(content, default=str))


def pluralize(n: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def print_columns(rows: Sequence[tuple[str, ...]], indent: str = "") -> None:
    """Print the rows, every column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print((indent + "  ".join(cells)).rstrip())


@runtime_checkable
class _HasSample(Protocol):
    def sample(self, *arguments: Any, **options: Any) -> Any: ...


@runtime_checkable
class _HasWrite(Protocol):
    def write(self, *arguments: Any, **options: Any) -> Any: ...


def sampling_options(path: str) -> list[Option]:
    """The sampling options of the domain of a run or weight file.

    None for a domain of a recipe file, which is not executed here.
    """
    domain = _stored_domain(path)
    return options_of(domain.sample) if issubclass(domain, _HasSample) else []  # load() reports it


def writing_options(path: str) -> list[Option]:
    """The options of `write` of that domain: which files are written of each sample."""
    domain = _stored_domain(path)
    return options_of(domain.write) if issubclass(domain, _HasWrite) else []


def _stored_domain(path: str) -> type:
    """The class of the domain of a run or weight file; `object` for one of a recipe file."""
    from multigan.core.serialization import RECIPE_DOMAIN, get_component

    name = _domain_component(path)
    return object if name.startswith(RECIPE_DOMAIN) else get_component(name)


def domain_name(path: str | Path) -> str:
    """The name of the domain of a run, a weight file or a pretrained generator."""
    return _domain_component(path).partition("/")[0]


def _domain_component(path: str | Path) -> str:
    from multigan.storage.checkpoint_integrity import resolve_weights_file
    from multigan.storage.weights import read_description

    return str(read_description(resolve_weights_file(Path(path)))["domain"]["component"])


def load_sampler(
    path: str, device: str = "cpu", trust_recipe: Path | None = None, **options: Any
) -> Sampler:
    """Load the generator of a run or weight file; `options` are those of `load`."""
    from multigan.storage.loading import load
    from multigan.training.device import pick_device

    trusted = load_trusted_recipe(trust_recipe)
    return load(path, trust=trusted, device=pick_device(device), **options)


def load_trusted_recipe(file: Path | None) -> ModuleType | None:
    """Execute the recipe file that the user named with --trust-recipe; None without one."""
    return None if file is None else run_recipe_file(file)
