"""The commands that make a page of runs: report and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.commands.said import Json, RunPath, RunPaths, print_json
from multigan.commands.source import Trust, trusted

Out = Annotated[Path | None, typer.Option(help="the HTML file to write")]


def report(run: RunPath, out: Out = None, trust: Trust = None, json: Json = False) -> None:
    """Write one HTML file about a run: samples, curves, metrics, health."""
    from multigan.run.report import report

    file = report(run, out, trusted(trust))
    if json:
        print_json({"run": run, "report": file})
    else:
        print(f"{file}: open it in a browser, or mail it; it needs no other file")


def compare(runs: RunPaths, out: Out = None, trust: Trust = None, json: Json = False) -> None:
    """Show several runs side by side: their metrics here, everything in one HTML file."""
    from multigan.run.report import compare, compared

    if len(runs) < 2:
        raise ValueError(f"compare got {len(runs)} run; wanted two or more")
    table = compared(runs)
    file = compare(runs, out, trusted(trust))
    if json:
        print_json({"rows": table.rows, "notes": table.notes, "page": file})
    else:
        print(f"{table.markdown()}\n{file}: open it in a browser")
