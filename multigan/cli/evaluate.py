"""The commands `evaluate`, `report` and `compare`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from multigan.cli.common import (
    AUTO,
    CACHE_HELP,
    Device,
    Json,
    RunPath,
    RunPaths,
    TrustRecipe,
    domain_name,
    load_trusted_recipe,
    print_json,
)
from multigan.core.metric_info import MetricInfo, find_metric, metric_infos
from multigan.core.results_table import ResultsTable
from multigan.core.wrapping import WIDTH, labeled

MIN_COLUMN = 12  # characters of a value such as -0.1234, with its margins and its name


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
    from multigan.report.report import report_quietly
    from multigan.report.run_summary import RunSummary
    from multigan.runs.directory import RunDirectory
    from multigan.runs.evaluate import evaluate
    from multigan.storage.pretrained import is_packaged
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
    packaged = is_packaged(run)
    file = None if packaged else report_quietly(run, load_trusted_recipe(trust_recipe))
    if json:
        print(table.json())
        return
    domain = domain_name(run) if packaged else RunSummary(RunDirectory(run)).domain
    print_results(table, metric_infos(domain))
    if file is not None:
        print(labeled("report", str(file)))


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
    """Compare several runs: what differs, a table of metrics, a conclusion, and one HTML file."""
    from multigan.report.comparison import conclusion, differences
    from multigan.report.report import compare
    from multigan.report.run_summary import RunSummary, metric_sources
    from multigan.runs.directory import RunDirectory

    if len(runs) < 2:
        raise ValueError(f"compare needs two runs or more; got {len(runs)}")
    summaries = [RunSummary(RunDirectory(run)) for run in runs]
    rows, notes = {s.name: s.model for s in summaries}, metric_sources(summaries)
    differing, concluded = differences(summaries), conclusion(summaries)
    file = compare(runs, out, load_trusted_recipe(trust_recipe))
    if json:
        print_json({"differences": differing, "rows": rows, "conclusion": concluded,
                    "notes": notes, "page": file})  # fmt: skip
        return
    names = [summary.name for summary in summaries]
    print_texts(names, differing or {"settings": ["all equal"] + [""] * (len(names) - 1)})
    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    print_values(rows, metrics, metric_infos(summaries[0].domain))
    print(labeled("conclusion", concluded))
    for note in notes:
        print(labeled("note", note))
    print(labeled("page", str(file)))


def print_results(table: ResultsTable, infos: Mapping[str, MetricInfo]) -> None:
    """Print a metric in each line and a row of `table` in each column, the generator last.

    An arrow points to better values. Intervals are in the files that `evaluate` writes. The notes
    come first: the table and the quality stay in view on a terminal of 24 lines.
    """
    for note in table.notes:
        print(labeled("note", note))
    print_values(table.rows, table.metrics, infos)
    if quality := table.quality:
        print(labeled("quality", quality.sentence))


def print_values(
    rows: Mapping[str, Mapping[str, float]], metrics: list[str], infos: Mapping[str, MetricInfo]
) -> None:
    """Print the values of `rows`, at most as many columns side by side as fit WIDTH."""
    lines = {}
    for metric in metrics:
        info = find_metric(infos, metric)
        arrow = info.arrow if info else ""
        lines[f"{metric} {arrow}".rstrip()] = [_value(row.get(metric)) for row in rows.values()]
    print_texts(list(rows), lines)


def print_texts(columns: list[str], lines: Mapping[str, Sequence[str]]) -> None:
    """Print named lines of a cell for each column; columns that do not fit WIDTH follow below."""
    first = max((len(name) for name in lines), default=0)
    fitting = max(1, (WIDTH - first) // MIN_COLUMN)
    for start in range(0, len(columns), fitting):
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        shown.add_column("", no_wrap=True)
        for name in columns[start : start + fitting]:
            shown.add_column(name, overflow="fold")
        for name, cells in lines.items():
            shown.add_row(name, *cells[start : start + fitting])
        Console(width=WIDTH, highlight=False, markup=False).print(shown)


def _value(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4g}"
