"""The commands `evaluate`, `report` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import (
    AUTO,
    CACHE_HELP,
    Device,
    Json,
    RunPath,
    RunPaths,
    TrustRecipe,
    load_trusted_recipe,
    print_json,
)


def evaluate(
    run: RunPath,
    data: Annotated[str | None, typer.Option(help="other data of the same kind")] = None,
    seed: Annotated[int, typer.Option(help="random seed of the samples")] = 0,
    split: Annotated[str, typer.Option(help="train, valid or test")] = "test",
    device: Device = AUTO,
    cache_dir: Annotated[Path | None, typer.Option(help=CACHE_HELP)] = None,
    json: Json = False,
    trust_recipe: TrustRecipe = None,
) -> None:
    """Evaluate a run against its data, with floors and counts."""
    from multigan.runs.evaluate import evaluate
    from multigan.training.device import pick_device

    table = evaluate(
        run,
        data=data,
        seed=seed,
        split=split,
        cache=cache_dir,
        device=pick_device(device),
        trust=load_trusted_recipe(trust_recipe),
    )
    print(table.json() if json else table.markdown())


Out = Annotated[Path | None, typer.Option(help="the HTML file to write")]


def report(run: RunPath, out: Out = None, trust_recipe: TrustRecipe = None,
           json: Json = False) -> None:  # fmt: skip
    """Write one HTML file about a run: samples, curves, metrics, diagnostics."""
    from multigan.report.report import report

    file = report(run, out, load_trusted_recipe(trust_recipe))
    if json:
        print_json({"run": run, "report": file})
    else:
        print(f"{file}: open it in a browser; it needs no other file")


def compare(runs: RunPaths, out: Out = None, trust_recipe: TrustRecipe = None,
            json: Json = False) -> None:  # fmt: skip
    """Compare several runs: a table of metrics, and one HTML file."""
    from multigan.report.report import compare, compared

    if len(runs) < 2:
        raise ValueError(f"compare needs two runs or more; got {len(runs)}")
    table = compared(runs)
    file = compare(runs, out, load_trusted_recipe(trust_recipe))
    if json:
        print_json({"rows": table.rows, "notes": table.notes, "page": file})
    else:
        print(f"{table.markdown()}\n{file}: open it in a browser")
