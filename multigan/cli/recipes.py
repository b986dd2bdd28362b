"""The commands on recipes and lists of runs: list, show, copy."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import Json, print_columns, print_json
from multigan.core.recipe_file import read_recipe, recipe_names
from multigan.storage.pretrained import list_pretrained, list_refiners, pretrained_metadata


def _recipes(incomplete: str) -> list[str]:
    return [name for name in recipe_names() if name.startswith(incomplete)]


RecipeName = Annotated[
    str, typer.Argument(autocompletion=_recipes, help="a recipe name or a .py file")
]


def list_(
    runs: Annotated[bool, typer.Option("--runs", help="list runs instead of recipes")] = False,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="list pretrained generators")
    ] = False,
    folder: Annotated[Path, typer.Option(help="folder of the runs")] = Path("runs"),
    json: Json = False,
) -> None:
    """List recipes with data, time and hardware; with --runs the runs and their next command."""
    if pretrained:
        _list_pretrained(json)
        return
    if not runs:
        _list_recipes(json)
        return
    from multigan.runs.directory import find_runs, run_status

    rows = [run_status(run) for run in find_runs(folder)]
    if json:
        print_json(rows)
        return
    if not rows:
        print(f"no runs in {folder}")
    print_columns(
        [
            (row["run"], row["state"], f"step {row['step']} of {row['steps']}", row["next"])
            for row in rows
        ]
    )


def _list_recipes(json: bool) -> None:
    """Print what each recipe makes, the data it needs, and the time and hardware it took."""
    files = [read_recipe(name) for name in recipe_names()]
    if json:
        print_json(
            [
                {"recipe": f.name, "summary": f.summary, "data": f.data, "time": f.time}
                for f in files
            ]
        )
        return
    width = shutil.get_terminal_size().columns
    for file in files:
        print(file.name)
        for text in (file.summary, f"data: {file.data}; time: {file.time}"):
            print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))


def _list_pretrained(json: bool) -> None:
    """Print the pretrained generators, their size and the command that trained them."""
    found, refiners = list_pretrained(), list_refiners()
    rows = [
        {
            "name": name,
            "bytes": file.stat().st_size,
            "refiner_bytes": refiners[name].stat().st_size if name in refiners else None,
            "command": pretrained_metadata(name)["command"],
        }
        for name, file in found.items()
    ]
    if json:
        print_json(rows)
        return
    if not rows:
        print("this package carries no pretrained generators")
    print_columns([(r["name"], f"{r['bytes'] / 1e6:.2f} MB", r["command"]) for r in rows])
    for row in rows:
        if row["refiner_bytes"]:
            size = f"{row['refiner_bytes'] / 1e6:.2f} MB"
            print(f"{row['name']} has a refiner of {size}: multigan sample {row['name']} --refine")


def show(recipe: RecipeName, json: Json = False) -> None:
    """Show the header and the hyperparameters of a recipe."""
    file = read_recipe(recipe)
    if json:
        hyperparameters = [
            {"name": h.name, "type": h.type.__name__, "default": h.default, "help": h.help}
            for h in file.hyperparameters
        ]
        content = {"recipe": file.name, "header": file.header, "tiny": file.tiny}
        print_json(content | {"hyperparameters": hyperparameters})
        return
    print(file.header.strip(), end="\n\n")
    print_columns(
        [(f"--{h.name.replace('_', '-')}", f"{h.default}", h.help) for h in file.hyperparameters]
    )


def copy(recipe: RecipeName, file: Path) -> None:
    """Copy a recipe to a new file, to edit it."""
    if file.exists():
        raise ValueError(f"{file} must be a new file; it exists already: choose another name")
    if file.suffix != ".py":
        raise ValueError(f"a recipe file must have the suffix .py; got {file}")
    file.write_bytes(read_recipe(recipe).path.read_bytes())
    print(f"{file}: edit it, then run: multigan train {file}")
