"""Values of the sections of a page about one run or several; the template lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from multigan.core.data_comparison import Statistic
from multigan.core.metric_info import MetricInfo, find_metric, metric_infos
from multigan.core.protocols import Medium
from multigan.core.results_table import MAX_COLUMNS
from multigan.report.comparison import conclusion, differences
from multigan.report.curves import page_charts
from multigan.report.log_reading import Diagnosis
from multigan.report.run_summary import (
    MetricTable,
    RunSummary,
    metric_sources,
)
from multigan.report.sample_media import SampleMedia

OPEN_CHARTS = 4  # that are shown at once; the others on request
SECTIONS = {
    "samples": "Samples",
    "nearest-training-data": "Nearest training data",
    "statistics-of-samples": "Statistics",
    "during-training": "During training",
    "interpolation-between-latents": "Interpolation",
    "curves": "Curves",
    "metrics": "Metrics",
    "data": "Data",
    "training-setup": "Training setup",
    "command": "Command",
}


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
        """Quality, then stability with each diagnosis of the training, current ones first."""
        summary = self.summary
        found = [_notice(diagnosis) for diagnosis in summary.diagnoses]
        stability = summary.stability_sentence
        level = found[0].level if found else "unknown" if stability.startswith("not") else "ok"
        return [_quality_notice(summary), Notice(level, "Stability", f": {stability}"), *found]

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
    def statistics(self) -> list[Statistic]:
        """Statistics of samples and of held-out items."""
        return self.media.data_comparison.statistics if self.media.data_comparison else []

    @property
    def table(self) -> dict[str, Any] | None:
        """The metrics of the run for the template, if there are any."""
        table = self.summary.metric_table
        if table is None:
            return None
        return _layout(table, {list(table.rows)[-1]}, metric_infos(self.summary.domain))


def page_values(runs: list[RunView]) -> dict[str, Any]:
    """Return the variables of the template."""
    versions = runs[0].summary.config.get("versions")
    return {
        "runs": runs,
        "contents": _contents(runs),
        "charts": page_charts([run.summary for run in runs]),
        "open_charts": OPEN_CHARTS,
        "comparison": _comparison(runs) if len(runs) > 1 else None,
        "version": versions.get("multigan", "") if isinstance(versions, dict) else "",
    }


def _contents(runs: list[RunView]) -> list[tuple[str, str]]:
    """The id and the title of each section of the page."""
    left_out = {"interpolation-between-latents"} if runs[0].media.is_live else set()
    shown = {
        "data": any(run.summary.data_counts for run in runs),
        "nearest-training-data": any(run.media.nearest for run in runs),
        "statistics-of-samples": any(run.statistics for run in runs),
    }
    left_out |= {key for key, is_shown in shown.items() if not is_shown}
    return [(key, title) for key, title in SECTIONS.items() if key not in left_out]


def _quality_notice(summary: RunSummary) -> Notice:
    levels = {None: "unknown", True: "ok", False: "active"}
    level = levels[summary.quality[0].beats_baseline] if summary.quality else "unknown"
    return Notice(level, "Quality", f": {summary.quality_sentence}")


def _notice(diagnosis: Diagnosis) -> Notice:
    last = "the end" if diagnosis.is_current else f"{diagnosis.last_step:,}, not since"
    text = f" (steps {diagnosis.first_step:,} to {last}): {diagnosis.message}"
    level = "active" if diagnosis.is_current else "past"
    return Notice(level, diagnosis.name.capitalize(), text)


def _comparison(runs: list[RunView]) -> dict[str, Any]:
    """The metrics of the generators of several runs in one table."""
    summaries = [run.summary for run in runs]
    rows = {summary.name: summary.model for summary in summaries}
    table = _layout(MetricTable(rows, {}, [], False), set(), metric_infos(summaries[0].domain))
    names, differing = list(rows), differences(summaries)
    return {
        "table": table,
        "notes": metric_sources(summaries),
        "names": names,
        "differences": differing,
        "conclusion": conclusion(summaries),
    }


def _layout(table: MetricTable, own: set[str], infos: Mapping[str, MetricInfo]) -> dict[str, Any]:
    """Header and rows of a table, and the meaning of its metrics.

    More than MAX_COLUMNS metrics become the rows.
    """
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
        "about": {name: info for name in metrics if (info := find_metric(infos, name))},
    }
