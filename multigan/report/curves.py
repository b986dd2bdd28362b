"""Charts of a page: quality against its references first, then the curves of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from multigan.core.quality import readable
from multigan.report.log_reading import finite_values
from multigan.report.run_summary import RunSummary, metric_curves

GROUPS = {
    "loss": "Losses",
    "logits": "Logits and their gap",
    "grad_norm": "Gradient norms",
    "penalty": "Penalties",
    "diversity": "Diversity within a batch",
    "near_duplicates": "Near-duplicates within a batch",
    "lr": "Learning rates",
    "nll": "Validation NLL, nats",
}
NOT_PLOTTED = {"step", "samples_seen", "epoch", "seconds"}  # progress, not metrics
REFERENCES = ("floor", "baseline")  # keys of a line's references that name a row


def page_charts(summaries: list[RunSummary]) -> list[dict[str, Any]]:
    """Return the charts for the page's script: validation metrics, then the log.

    The headline metric comes first. A chart of one run has the rows of real data and of the
    baseline as dashed lines, and marks the best checkpoint.
    """
    logs = {summary.name: metric_curves(summary.log.lines) for summary in summaries}
    metrics = {summary.name: metric_curves(summary.metrics.lines) for summary in summaries}
    charts = _grouped(metrics, {})
    if len(summaries) == 1:
        charts = [_with_references(chart, summaries[0]) for chart in charts]
    headline = _headline(summaries[0])
    charts.sort(key=lambda chart: chart["title"] != headline)  # a stable sort
    for chart in charts:
        chart["title"] = readable(chart["title"])
    return charts + _grouped(logs, GROUPS if len(summaries) == 1 else {})


def _grouped(logs: dict[str, Any], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Charts for the page's script: one for each group of `titles`; without, one for each key."""
    names = dict.fromkeys(n for _, series in logs.values() for n in series if n not in NOT_PLOTTED)
    groups: dict[str, list[str]] = {key: [] for key in titles}
    for name in names:
        prefix, _, rest = name.partition("/")
        groups.setdefault(prefix if titles and rest else name, []).append(name)
    return [
        {"title": titles.get(group, group), "series": _series(logs, members)}
        for group, members in groups.items()
        if members
    ]


def _series(logs: dict[str, Any], names: Iterable[str]) -> list[dict[str, Any]]:
    """The values of each key in each run with their steps."""
    found = []
    for run, (steps, series) in logs.items():
        for name in [name for name in names if name in series]:
            label = run if len(logs) > 1 else name.partition("/")[2] or name
            found.append({"label": label, "steps": steps, "values": series[name]})
    return found


def _references(line: Mapping[str, Any]) -> dict[str, Any]:
    """The references of a line of metrics.jsonl; {} where it has none."""
    found = line.get("references")
    return found if isinstance(found, dict) and isinstance(found.get("rows"), dict) else {}


def _headline(summary: RunSummary) -> str:
    """The name of the headline metric; empty if it is unknown."""
    lines = summary.metrics.lines
    return str(_references(lines[-1]).get("headline", "")) if lines else ""


def _with_references(chart: dict[str, Any], summary: RunSummary) -> dict[str, Any]:
    """Add floor and baseline of a metric as dashed lines; mark the best checkpoint."""
    metric, lines = chart["title"], summary.metrics.lines
    added = []
    for key in REFERENCES:
        rows = [(line["step"], _references(line), key) for line in lines]
        known = {step: _reference(found, key, metric) for step, found, key in rows}
        steps = [step for step, (_, value) in known.items() if value is not None]
        if steps:
            label, values = known[steps[-1]][0], [known[step][1] for step in steps]
            added.append({"label": label, "steps": steps, "values": values, "reference": True})
    marked = {"mark": summary.best_step} if summary.best_step is not None else {}
    own = [one | {"label": "generator"} if added else one for one in chart["series"]]
    return chart | {"series": own + added} | marked


def _reference(found: Mapping[str, Any], key: str, metric: str) -> tuple[str, float | None]:
    """The name of a reference row, and its value of a metric."""
    name = str(found.get(key, ""))
    return name, finite_values(found.get("rows", {}).get(name)).get(metric)
