"""Values of the sections of a page about one run or several; the template lays them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from multigan.core.protocols import Medium
from multigan.core.results_table import MAX_COLUMNS
from multigan.engine.monitoring import CHECKS, has_enough_logs
from multigan.report.run_summary import (
    Diagnosis,
    MetricTable,
    RunSummary,
    metric_curves,
    metric_sources,
)
from multigan.report.sample_media import SampleMedia

GROUPS = {
    "loss": "Losses",
    "logits": "Logits and their gap",
    "grad_norm": "Gradient norms",
    "penalty": "Penalties",
    "diversity": "Diversity within a batch",
    "near_duplicates": "Near-duplicates within a batch",
    "lr": "Learning rates",
    "gamma": "Gamma: weights of the penalties",
    "adam": "Betas of Adam",
    "ema": "Half-life of the averaged generator, samples",
    "anneal": "Annealed values",
    "augment": "Probability of augmentations",
    "nll": "Validation NLL, nats",
}
NOT_PLOTTED = {"step", "samples_seen", "epoch", "seconds"}  # progress, not metrics
OPEN_CHARTS = 4  # that are shown at once; the others on request


class Notice(NamedTuple):
    """A diagnosis on the page; `level` is its CSS class: ok, past, active or unknown."""

    level: str
    title: str
    text: str


class RunView(NamedTuple):
    """A run and the values that a page shows of it."""

    summary: RunSummary
    media: SampleMedia

    @property
    def notices(self) -> list[Notice]:
        """Diagnoses of the training monitor, current ones first."""
        summary = self.summary
        if summary.diagnoses:
            return [_notice(d) for d in sorted(summary.diagnoses, key=lambda d: not d.is_current)]
        steps = summary.adversarial_steps
        if has_enough_logs(summary.config["horizon"], steps):
            found = f": no warning in {len(steps):,} lines of the log. Checks: {', '.join(CHECKS)}."
            return [Notice("ok", "Stable", found)]
        counts = f"{len(steps):,} lines over {steps[-1] if steps else 0:,} adversarial steps"
        return [Notice("unknown", "No diagnosis", f": the log's {counts} are too few.")]

    @property
    def history(self) -> dict[str, list[Medium]]:
        """Samples during training, by the name of the step."""
        return {f"step {step:,}": media for step, media in sorted(self.media.history.items())}

    @property
    def interpolation(self) -> dict[str, list[Medium]]:
        """Samples along a path between latents, by the name of the fraction."""
        last = max(1, len(self.media.interpolation) - 1)
        return {f"{k / last:.0%} of the path": m for k, m in enumerate(self.media.interpolation)}

    @property
    def table(self) -> dict[str, Any] | None:
        """The metrics of the run for the template, if there are any."""
        table = self.summary.metric_table
        return None if table is None else _layout(table, {list(table.rows)[-1]})


def page_values(runs: list[RunView]) -> dict[str, Any]:
    """Return the variables of the template."""
    versions = runs[0].summary.config.get("versions")
    return {
        "runs": runs,
        "charts": _charts(runs),
        "open_charts": OPEN_CHARTS,
        "comparison": _comparison(runs) if len(runs) > 1 else None,
        "version": versions.get("multigan", "") if isinstance(versions, dict) else "",
    }


def _notice(diagnosis: Diagnosis) -> Notice:
    last = "the end" if diagnosis.is_current else f"{diagnosis.last_step:,}, not since"
    text = f" (steps {diagnosis.first_step:,} to {last}): {diagnosis.message}"
    level = "active" if diagnosis.is_current else "past"
    return Notice(level, diagnosis.name.capitalize(), text)


def _charts(runs: list[RunView]) -> list[dict[str, Any]]:
    logs = {run.summary.name: metric_curves(run.summary.log) for run in runs}
    metrics = {run.summary.name: metric_curves(run.summary.metrics) for run in runs}
    return _grouped(logs, GROUPS if len(runs) == 1 else {}) + _grouped(metrics, {})


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


def _comparison(runs: list[RunView]) -> dict[str, Any]:
    """The metrics of the generators of several runs in one table."""
    rows = {run.summary.name: run.summary.model for run in runs}
    notes = metric_sources([run.summary for run in runs])
    return {"table": _layout(MetricTable(rows, {}, [], False), set()), "notes": notes}


def _layout(table: MetricTable, own: set[str]) -> dict[str, Any]:
    """Header and rows of a table; more than MAX_COLUMNS metrics become its rows."""
    metrics = list(dict.fromkeys(metric for row in table.rows.values() for metric in row))
    transposed = len(metrics) > MAX_COLUMNS
    across, down = (list(table.rows), metrics) if transposed else (metrics, list(table.rows))

    def cell(left: str, top: str) -> dict[str, Any]:
        row, metric = (top, left) if transposed else (left, top)
        value, ends = table.rows[row].get(metric), table.intervals.get(row, {}).get(metric)
        text = "" if value is None else f"{value:.4g}"
        interval = f"{ends[0]:.3g} to {ends[1]:.3g}" if ends and text else ""
        return {"text": text, "interval": interval, "own": row in own}

    return {
        "header": across,
        "rows": [(name, [cell(name, top) for top in across]) for name in down],
    }
