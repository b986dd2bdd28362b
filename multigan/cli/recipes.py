"""The commands about recipes and runs as a whole: list, show, copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import Json, print_columns, print_json
from multigan.core.recipe_file import read_recipe, recipe_names
from multigan.storage.pretrained import list_pretrained, pretrained_metadata


def _recipes(incomplete: str) -> list[str]:
    return [name for name in recipe_names() if name.startswith(incomplete)]


RecipeName = Annotated[str, typer.Argument(autocompletion=_recipes, help="a name, or a .py file")]


def list_(
    runs: Annotated[bool, typer.Option("--runs", help="list runs instead of recipes")] = False,
    ready: Annotated[bool, typer.Option("--ready", help="list ready-made generators")] = False,
    folder: Annotated[Path, typer.Option(help="where the runs are")] = Path("runs"),
    json: Json = False,
) -> None:
    """List the recipes; with --runs the runs, how far they are and how to go on."""
    if ready:
        _list_ready(json)
        return
    if not runs:
        summaries = {name: read_recipe(name).summary for name in recipe_names()}
        if json:
            print_json([{"recipe": name, "summary": said} for name, said in summaries.items()])
        else:
            print_columns(list(summaries.items()))
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


def _list_ready(json: bool) -> None:
    """The ready-made generators, how large they are and what made them."""
    found = list_pretrained()
    rows = [
        {
            "name": name,
            "bytes": file.stat().st_size,
            "command": pretrained_metadata(name)["command"],
        }
        for name, file in found.items()
    ]
    if json:
        print_json(rows)
        return
    if not rows:
        print("this package carries no ready-made generators")
    print_columns([(r["name"], f"{r['bytes'] / 1e6:.2f} MB", r["command"]) for r in rows])


def show(recipe: RecipeName, json: Json = False) -> None:
    """Show what a recipe is about and its knobs."""
    file = read_recipe(recipe)
    if json:
        knobs = [
            {"name": k.name, "type": k.type.__name__, "default": k.default, "help": k.help}
            for k in file.knobs
        ]
        print_json({"recipe": file.name, "header": file.header, "knobs": knobs, "tiny": file.tiny})
        return
    print(file.header.strip(), end="\n\n")
    print_columns([(f"--{_dashed(k.name)}", f"{k.default}", k.help) for k in file.knobs])


def copy(recipe: RecipeName, file: Path) -> None:
    """Copy a recipe to a file of your own, to change it."""
    if file.exists():
        raise ValueError(f"{file} exists already; choose another name")
    if file.suffix != ".py":
        raise ValueError(f"{file} is no name of a recipe file; wanted one that ends in .py")
    file.write_bytes(read_recipe(recipe).path.read_bytes())
    print(f"{file}: edit it, then run: multigan train {file}")


def _dashed(name: str) -> str:
    return name.replace("_", "-")
