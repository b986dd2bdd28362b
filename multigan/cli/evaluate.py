"""The commands `evaluate`, `report` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from multigan.cli.common import Json, RunPath, RunPaths, Trust, load_trusted_recipe, print_json


def evaluate(
    run: RunPath,
    data: Annotated[str | None, typer.Option(help="other data of the same kind")] = None,
    seed: Annotated[int, typer.Option(help="of the samples that are measured")] = 0,
    split: Annotated[str, typer.Option(help="train, valid or test")] = "test",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "cpu",
    cache: Annotated[Path | None, typer.Option(help="where helper models are kept")] = None,
    json: Json = False,
    trust: Trust = None,
) -> None:
    """Measure a run against its data, with floors and counts."""
    from multigan.runs.evaluate import evaluate
    from multigan.training.device import pick_device

    wishes: dict[str, Any] = {"data": data, "seed": seed, "split": split, "cache": cache}
    table = evaluate(run, **wishes, device=pick_device(device), trust=load_trusted_recipe(trust))
    print(table.json() if json else table.markdown())


Out = Annotated[Path | None, typer.Option(help="the HTML file to write")]


def report(run: RunPath, out: Out = None, trust: Trust = None, json: Json = False) -> None:
    """Write one HTML file about a run: samples, curves, metrics, health."""
    from multigan.report.report import report

    file = report(run, out, load_trusted_recipe(trust))
    if json:
        print_json({"run": run, "report": file})
    else:
        print(f"{file}: open it in a browser, or mail it; it needs no other file")


def compare(runs: RunPaths, out: Out = None, trust: Trust = None, json: Json = False) -> None:
    """Show several runs side by side: their metrics here, everything in one HTML file."""
    from multigan.report.report import compare, compared

    if len(runs) < 2:
        raise ValueError(f"compare got {len(runs)} run; wanted two or more")
    table = compared(runs)
    file = compare(runs, out, load_trusted_recipe(trust))
    if json:
        print_json({"rows": table.rows, "notes": table.notes, "page": file})
    else:
        print(f"{table.markdown()}\n{file}: open it in a browser")
