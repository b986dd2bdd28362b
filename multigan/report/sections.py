"""The sections of a page about one run or several: each a table of what is known, as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from multigan.core.protocols import Medium
from multigan.core.results_table import MAX_COLUMNS
from multigan.engine.monitoring import CHECKS, has_enough_logs
from multigan.report.html_builder import Safe, data_block, element, joined, render_media
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
    "logit": "Logits and their gap",
    "gradient_norm": "Gradient norms",
    "penalty": "Penalties",
    "variety": "Variety within a batch",
    "twins": "Near-copies within a batch",
    "lr": "Learning rates",
    "nll": "Held-out likelihood, nats",
}
COUNTED = {"step", "samples_seen", "epoch", "seconds"}  # of a log line: how far, not how well
OPEN = 4  # charts that are shown at once; the others on request


class RunView(NamedTuple):
    """A run and what a page shows of it."""

    summary: RunSummary
    exhibits: SampleMedia


def body_of(title: str, runs: list[RunView]) -> Safe:
    """Everything between the body's tags but the script."""
    sections = [
        element("section", element("h2", name), make(runs)) for name, make in SECTIONS.items()
    ]
    version = runs[0].summary.description.get("versions")
    number = version.get("multigan", "") if isinstance(version, dict) else ""
    end = element("footer", f"Trained with multigan {number}. This file is all of the page.")
    return joined(element("header", element("h1", title), *map(_opening, runs)), *sections, end)


def _opening(run: RunView) -> Safe:
    summary = run.summary
    line = element("p", f"{summary.lead} {summary.state.capitalize()}.", class_="lead")
    return element("div", element("p", summary.name, class_="name"), line, _health(summary))


def _health(summary: RunSummary) -> Safe:
    """The health monitor's verdicts, those that stand at the end first."""
    if summary.verdicts:
        return joined(*map(_verdict, sorted(summary.verdicts, key=lambda v: not v.stands)))
    logged = summary.game_steps
    if not has_enough_logs(summary.description["horizon"], logged):
        game = f"{len(logged):,} lines over {logged[-1] if logged else 0:,} steps of the game"
        said = f": the log's {game} are too few for one."
        return element("p", element("strong", "No verdict"), said, class_="verdict unknown")
    said = f": nothing was found in {len(logged):,} lines of the log. Looked for: "
    return element(
        "p", element("strong", "Healthy"), said, f"{', '.join(CHECKS)}.", class_="verdict well"
    )


def _verdict(verdict: Diagnosis) -> Safe:
    first, last = f"{verdict.first_step:,}", f"{verdict.last_step:,}"
    until = "to the end" if verdict.stands else f"to {last}, not since"
    when = f" (steps {first} {until}): {verdict.said}"
    kind = "ill" if verdict.stands else "past"
    return element(
        "p", element("strong", verdict.sign.capitalize()), when, class_=f"verdict {kind}"
    )


def _samples(runs: list[RunView]) -> Safe:
    return _beside(runs, lambda run: render_media(run.exhibits.samples))


def _history(runs: list[RunView]) -> Safe:
    def slides(run: RunView) -> Safe:
        moments = {f"step {step:,}": m for step, m in sorted(run.exhibits.history.items())}
        return _slides(moments, "Moment of the training", start="last")

    return _beside(runs, slides)


def _walk(runs: list[RunView]) -> Safe:
    def slides(run: RunView) -> Safe:
        last = max(1, len(run.exhibits.walk) - 1)
        frames = {f"{k / last:.0%} of the way": m for k, m in enumerate(run.exhibits.walk)}
        if not frames and not run.exhibits.trouble:
            return element(
                "p", "The latents of this generator cannot be walked between.", class_="quiet"
            )
        return _slides(frames, "Between two latents", start="first")

    return _beside(runs, slides)


def _slides(slides: dict[str, list[Medium]], name: str, start: str) -> Safe:
    """Media of which the page's script shows one slide at a time."""
    if not slides:
        return element("p", "Nothing was kept.", class_="quiet")
    shown = [
        element(
            "div",
            element("p", label, class_="moment"),
            render_media(media),
            class_="slide",
            data_at=label,
        )
        for label, media in slides.items()
    ]
    return element("div", *shown, class_="slides", data_name=name, data_start=start)


def _beside(runs: list[RunView], make: Callable[[RunView], Safe]) -> Safe:
    """The same of every run, side by side where there is room."""
    parts = []
    for run in runs:
        name = [element("h3", run.summary.name)] if len(runs) > 1 else []
        trouble = run.exhibits.trouble
        made = make(run)
        said = [element("p", f"Not drawn: {trouble}", class_="quiet")] if trouble else []
        parts.append(element("div", *name, *said, made))
    return element("div", *parts, class_="beside")


def _curves(runs: list[RunView]) -> Safe:
    logs = {run.summary.name: metric_curves(run.summary.log) for run in runs}
    measured = {run.summary.name: metric_curves(run.summary.metrics) for run in runs}
    charts = _charts(logs, grouped=len(runs) == 1) + _charts(measured, grouped=False)
    if not charts:
        return element("p", "The log is empty.", class_="quiet")
    head, rest = charts[:OPEN], charts[OPEN:]
    more = [
        element("summary", f"{len(rest)} more curves"),
        element("div", *map(_chart, rest), class_="charts"),
    ]
    hint = "Drag over a stretch to zoom in, double-click to see all. With the keyboard: left and "
    hint += "right read off, plus and minus zoom, 0 shows all."
    return joined(
        element("p", hint, class_="quiet"),
        element("div", *map(_chart, head), class_="charts"),
        element("details", *more) if rest else Safe(),
    )


def _chart(chart: dict[str, Any]) -> Safe:
    return element("figure", data_block(chart, "chart"), class_="chart")


def _charts(logs: dict[str, Any], grouped: bool) -> list[dict[str, Any]]:
    """Charts as the page's script draws them: one for each group of figures, or for each figure."""
    names = dict.fromkeys(n for _, series in logs.values() for n in series if n not in COUNTED)
    groups: dict[str, list[str]] = {key: [] for key in GROUPS} if grouped else {}
    for name in names:
        prefix, _, rest = name.partition("/")
        groups.setdefault(prefix if grouped and rest else name, []).append(name)
    return [
        {"title": GROUPS.get(group, group), "series": _series(logs, members)}
        for group, members in groups.items()
        if members
    ]


def _series(logs: dict[str, Any], names: Iterable[str]) -> list[dict[str, Any]]:
    """Each figure of each run with its steps."""
    found = []
    for run, (steps, series) in logs.items():
        for name in [name for name in names if name in series]:
            label = run if len(logs) > 1 else name.partition("/")[2] or name
            found.append({"label": label, "steps": steps, "values": series[name]})
    return found


def _metrics(runs: list[RunView]) -> Safe:
    if len(runs) > 1:
        return joined(_compared(runs), *(_measured(run, named=True) for run in runs))
    return _measured(runs[0], named=False)


def _compared(runs: list[RunView]) -> Safe:
    """The models of several runs in one table."""
    rows = {run.summary.name: run.summary.model for run in runs}
    notes = [element("li", note) for note in metric_sources([run.summary for run in runs])]
    shown = _table(MetricTable(rows, {}, [], False), own=set())
    return joined(shown, element("ul", *notes, class_="notes"))


def _measured(run: RunView, named: bool) -> Safe:
    """The metrics of one run, with what they are worth."""
    table, title = run.summary.measured, [element("h3", run.summary.name)] if named else []
    command = element("pre", element("code", f"multigan evaluate {run.summary.name}"))
    how = joined(element("p", "Measured with floors and reference rows by:"), command)
    if table is None:
        return joined(*title, element("p", "Nothing was measured.", class_="quiet"), how)
    notes = element("ul", *(element("li", note) for note in table.notes), class_="notes")
    shown = _table(table, own={list(table.rows)[-1]})
    return joined(*title, shown, notes, Safe() if table.whole else how)


def _table(table: MetricTable, own: set[str]) -> Safe:
    """A table of rows and metrics; many metrics stand below each other."""
    metrics = list(dict.fromkeys(metric for row in table.rows.values() for metric in row))
    turned = len(metrics) > MAX_COLUMNS
    across, down = (list(table.rows), metrics) if turned else (metrics, list(table.rows))

    def cell(left: str, top: str) -> Safe:
        row, metric = (top, left) if turned else (left, top)
        value, ends = table.rows[row].get(metric), table.intervals.get(row, {}).get(metric)
        text = "" if value is None else f"{value:.4g}"
        span = element("small", f" {ends[0]:.3g} to {ends[1]:.3g}") if ends and text else Safe()
        return element("td", text, span, class_="own" if row in own else "")

    head = element("tr", element("td", ""), *(element("th", name, scope="col") for name in across))
    rows = [
        element("tr", element("th", name, scope="row"), *(cell(name, top) for top in across))
        for name in down
    ]
    whole = element("table", element("thead", head), element("tbody", *rows))
    return element("div", whole, class_="wide", tabindex=0, role="region", aria_label="metrics")


def _trained(runs: list[RunView]) -> Safe:
    def facts(run: RunView) -> Safe:
        knobs = [element("summary", "Every knob"), _pairs(run.summary.knobs)]
        return joined(_pairs(run.summary.facts), element("details", *knobs))

    return _beside([run._replace(exhibits=SampleMedia()) for run in runs], facts)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Safe:
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs)
    )


def _again(runs: list[RunView]) -> Safe:
    commands = "\n".join(run.summary.command for run in runs)
    return element("pre", element("code", commands), class_="command", tabindex=0)


SECTIONS: dict[str, Callable[[list[RunView]], Safe]] = {
    "Samples": _samples,
    "While it trained": _history,
    "From one latent to another": _walk,
    "Curves": _curves,
    "Metrics": _metrics,
    "What was trained": _trained,
    "To train it again": _again,
}
