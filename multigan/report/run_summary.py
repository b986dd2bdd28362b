"""Summary of a run from its files. Imports no torch and executes nothing of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from multigan.core.data_counts import DataCounts
from multigan.core.quality import Quality, quality_of
from multigan.core.serialization import CORE, domains
from multigan.engine.log_checks import has_enough_logs
from multigan.report.log_reading import (
    Diagnosis,
    finite_or_none,
    finite_values,
    read_log,
    subsample,
)
from multigan.runs.directory import RunDirectory, read_evaluation
from multigan.runs.provenance import train_command
from multigan.runs.schedules import in_order, movement, number

MAX_POINTS = 1000  # of a curve
SAME = 1e-3  # relative difference of two values that are shown as one
DIGITS = 5  # significant digits of a plotted value


class MetricTable(NamedTuple):
    """Metrics: `rows` is name -> metric -> value, `intervals` name -> metric -> [low, high]."""

    rows: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, list[float]]]
    notes: list[str]
    is_complete: bool  # with floors and reference rows, as written by `multigan evaluate`


class RunSummary:
    """A run as described by its files. Raises ValueError for a directory that holds no run."""

    def __init__(self, run: RunDirectory) -> None:
        self.run, self.config = run, run.read_config()
        self.log = read_log(run.log)
        self.metrics = read_log(run.metrics)

    @property
    def name(self) -> str:
        """The directory of the run."""
        return str(self.run.path)

    @property
    def domain(self) -> str:
        """The name of the domain; "core" for one that a recipe file or the caller defines."""
        data = self.config["recipe"].get("data")
        component = str(data.get("component", "")) if isinstance(data, dict) else ""
        name = component.partition("/")[0]
        return name if name in domains() else CORE

    @property
    def state(self) -> str:
        """The reason for the end of training, and the step."""
        return f"{self.config.get('ended', 'unfinished')} at step {self.log.last_step:,}"

    @property
    def headline(self) -> str:
        """Networks, data and steps in a sentence."""
        recipe = self.config["recipe"]
        time = f", in {self.duration}" if self.duration else ""
        return (
            f"{_component(recipe.get('generator'))} trained on {_component(recipe.get('data'))} "
            f"with {_component(recipe.get('discriminator'))}: {_steps(recipe)} of "
            f"{recipe.get('batch_size')} samples{time}."
        )

    @property
    def duration(self) -> str:
        """The time of training, over all resumptions; empty where it is unknown."""
        seconds = finite_or_none(self.log.lines[-1].get("seconds")) if self.log.lines else None
        return "" if seconds is None else duration(seconds)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The training setup as pairs of name and value."""
        recipe, config = self.config["recipe"], self.config
        stored = config.get("versions")
        versions = stored if isinstance(stored, dict) else {}
        found = {
            "Recipe": config["name"],
            "Data": _detailed(recipe.get("data")),
            "Generator": _detailed(recipe.get("generator")),
            "Discriminator": _detailed(recipe.get("discriminator")),
            "Loss": recipe.get("loss"),
            "Penalties": _listed(recipe.get("penalties")),
            "Seed": config["seed"],
            "Data fingerprint": config["fingerprint"],
            "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        }
        return [(name, str(value)) for name, value in found.items() if value not in (None, "")]

    @property
    def data_counts(self) -> DataCounts | None:
        """The counts of what the reader of the data used and left out, if they are stored."""
        return DataCounts.from_json(self.config.get("data_counts"))

    @property
    def hyperparameters(self) -> list[tuple[str, str]]:
        """All hyperparameters of the recipe."""
        return [(k, str(v)) for k, v in self.config["hyperparameters"].items()]

    @property
    def schedules(self) -> list[tuple[str, str]]:
        """Learning rates, gammas, betas and annealed values of the run, as "start -> end".

        The last value of the log is named where it is not the planned end: in a run that was
        stopped, and where something else moves the value.
        """
        planned, lines = (
            _ends(self.config.get("schedules")),
            [finite_values(x) for x in self.log.lines],
        )
        names = in_order([*planned, *(name for line in lines for name in line)])
        logged = {name: [line[name] for line in lines if name in line] for name in names}
        return [(name, _movement(planned.get(name), logged[name])) for name in names]

    @property
    def command(self) -> str:
        """The command line that trains this run again."""
        return train_command(self.config)

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """All diagnoses of log and checkpoints, current ones first, by their first step."""
        found = [*self.log.diagnoses, *self.metrics.diagnoses]
        return sorted(found, key=lambda d: (not d.is_current, d.first_step))

    @property
    def quality(self) -> tuple[Quality, str] | None:
        """The headline metric next to its floor and baseline, and where it was measured.

        That of evaluation.json, else of the best checkpoint on the validation split.
        """
        table = read_evaluation(self.run.path)
        found = None if table is None else _quality(table, table["rows"])
        if found is not None:
            return found, "by multigan evaluate"
        step, measured = self.best_step, self._measured
        if step is None:
            return None
        return measured[step], f"on the validation split, best checkpoint, step {step:,}"

    @property
    def _measured(self) -> dict[int, Quality]:
        """The quality at each checkpoint that has one."""
        found = {line["step"]: quality_of_line(line) for line in self.metrics.lines}
        return {step: quality for step, quality in found.items() if quality is not None}

    @property
    def best_step(self) -> int | None:
        """The step of the checkpoint with the lowest headline metric, if it is known."""
        measured = self._measured
        return min(measured, key=lambda step: measured[step].value, default=None)

    @property
    def quality_sentence(self) -> str:
        """Quality against its floor and baseline, in words."""
        if self.quality is None:
            return f"not measured; try: multigan evaluate {self.name}"
        quality, source = self.quality
        return f"{quality.figures} ({source}). {quality.conclusion}".rstrip()

    @property
    def stability_sentence(self) -> str:
        """The diagnoses by name, or the number of lines that had none."""
        current = [d.name for d in self.diagnoses if d.is_current]
        past = [d.name for d in self.diagnoses if not d.is_current]
        if current or past:
            parts = [f"{', '.join(current)} at the end"] if current else []
            parts += [f"{', '.join(past)} before, not at the end"] if past else []
            return "; ".join(parts) + "."
        log = self.log
        if not has_enough_logs(self.config["horizon"], log.judged_steps):
            last = log.judged_steps[-1] if log.judged_steps else 0
            return (
                f"not judged: the log's {log.judged_lines:,} lines over {last:,} adversarial steps "
                "are too few."
            )
        checkpoints = f"{self.metrics.judged_checkpoints:,} checkpoints"
        return f"no diagnosis in {log.judged_lines:,} log lines and {checkpoints}."

    @property
    def metric_table(self) -> MetricTable | None:
        """The table of evaluation.json, else the last line of metrics.jsonl; None without both."""
        table = read_evaluation(self.run.path)
        if table is not None:
            rows = {str(name): finite_values(row) for name, row in table["rows"].items()}
            return MetricTable(
                rows, _intervals(table), [str(note) for note in table["notes"]], True
            )
        measured = [line for line in self.metrics.lines if len(finite_values(line)) > 1]
        if not measured:
            return None
        last = measured[-1]
        row = {name: value for name, value in finite_values(last).items() if name != "step"}
        note = f"measured on the validation split at step {last['step']:,}, without floors"
        return MetricTable({"generator": row}, {}, [note], False)

    @property
    def model(self) -> dict[str, float]:
        """The metrics of the generator: the last row of the table."""
        table = self.metric_table
        return {} if table is None else dict(table.rows[list(table.rows)[-1]])


def quality_of_line(line: Mapping[str, Any]) -> Quality | None:
    """Return the quality that a line of metrics.jsonl describes, if it does."""
    references = line.get("references")
    rows = references.get("rows") if isinstance(references, dict) else None
    if not isinstance(references, dict) or not isinstance(rows, dict):
        return None
    return _quality(references, {**rows, "generator": line})


def _quality(names: Mapping[str, Any], rows: Mapping[str, Any]) -> Quality | None:
    """Return the quality of the last of `rows`, with the names of `ResultsTable.references`."""
    known = {str(name): finite_values(row) for name, row in rows.items()}
    headline, *others = (str(names.get(key, "")) for key in ("headline", "floor", "baseline"))
    return quality_of(known, headline, *others) if headline else None


def metric_sources(summaries: list[RunSummary]) -> list[str]:
    """Return the source of the metrics of each run, and a note if they cannot be compared."""
    tables = {summary.name: summary.metric_table for summary in summaries}
    kinds = {name: table.is_complete if table else None for name, table in tables.items()}
    sources = {True: "evaluation.json", False: "the last line of metrics.jsonl", None: "nowhere"}
    notes = [f"{name}: from {sources[kind]}" for name, kind in kinds.items()]
    if len(set(kinds.values())) > 1:
        notes.append("not of one split: run multigan evaluate on each before comparing them")
    return notes


def metric_curves(lines: list[dict[str, Any]]) -> tuple[list[int], dict[str, list[float | None]]]:
    """Return at most MAX_POINTS steps and the values of each key at these steps."""
    merged: dict[int, dict[str, float]] = {}
    for line in lines:
        merged.setdefault(line["step"], {}).update(finite_values(line))
    steps = subsample(sorted(merged), MAX_POINTS)
    names = dict.fromkeys(name for step in steps for name in merged[step])
    return steps, {n: [_rounded(merged[step].get(n)) for step in steps] for n in names}


def duration(seconds: float) -> str:
    """Format seconds as `75 s`, `12 min 5 s` or `3 h 20 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _ends(stored: Any) -> dict[str, list[float]]:
    """Return name -> [start, end] of the entries that are two numbers."""
    pairs = stored.items() if isinstance(stored, dict) else ()
    rows = {str(name): ends for name, ends in pairs if isinstance(ends, list)}
    found = {name: [finite_or_none(end) for end in ends] for name, ends in rows.items()}
    return {n: ends for n, ends in found.items() if len(ends) == 2 and None not in ends}  # type: ignore[misc]


def _movement(planned: list[float] | None, logged: list[float]) -> str:
    """Return "start -> end" as planned, else as logged, and the last value where it is another."""
    start, end = planned or (logged[0], logged[-1])
    text = movement(start, end, "\u2192")
    last = logged[-1] if logged else end
    is_end = math.isclose(last, end, rel_tol=SAME, abs_tol=SAME * abs(start))
    return text if is_end else f"{text}; last in the log {number(last)}"


def _component(description: Any) -> str:
    """Return the source of data, the network of an adapter, else the name without its domain."""
    if not isinstance(description, dict):
        return "unknown"
    arguments = description.get("arguments")
    if isinstance(arguments, dict) and isinstance(arguments.get("network"), dict):
        return _component(arguments["network"])
    source = arguments.get("source") if isinstance(arguments, dict) else None
    named = str(description.get("component", "unknown"))
    return source if isinstance(source, str) else named.rpartition("/")[2]


def _detailed(description: Any) -> str:
    """Return a component with those arguments that are numbers or short strings."""
    if not isinstance(description, dict):
        return ""
    arguments = description.get("arguments")
    return f"{description.get('component', '')}: {_listed(arguments)}".rstrip(": ")


def _listed(values: Any) -> str:
    pairs = values.items() if isinstance(values, dict) else ()
    short = [(k, v) for k, v in pairs if isinstance(v, str | int | float) and len(str(v)) < 60]
    return ", ".join(f"{k} {v}" for k, v in short)


def _steps(recipe: Mapping[str, Any]) -> str:
    """Return the number of steps of each stage."""
    steps, pretraining = recipe["steps"], recipe.get("likelihood_steps")
    text = f"{steps:,} steps" if isinstance(steps, int) else "steps"
    return f"at most {pretraining:,} likelihood steps, then {text}" if pretraining else text


def _intervals(table: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Return row -> metric -> [low, high], if both are numbers."""
    stored = table.get("intervals")
    found: dict[str, dict[str, list[float]]] = {}
    for row, metrics in stored.items() if isinstance(stored, dict) else ():
        for metric, ends in metrics.items() if isinstance(metrics, dict) else ():
            known = [finite_or_none(end) for end in ends] if isinstance(ends, list) else []
            if len(known) == 2 and None not in known:
                found.setdefault(str(row), {})[str(metric)] = known  # type: ignore[assignment]
    return found
