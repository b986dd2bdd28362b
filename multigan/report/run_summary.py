"""Summary of a run from its files. Imports no torch and executes nothing of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from multigan.core.data_counts import DataCounts
from multigan.runs.directory import RunDirectory, read_evaluation, read_jsonl
from multigan.runs.provenance import train_command
from multigan.runs.schedules import in_order, movement, number

MAX_POINTS = 1000  # of a curve
ADVERSARIAL_KEY = "logits/gap"  # that every log line of the adversarial stage has
SAME = 1e-3  # relative difference of two values that are shown as one
DIGITS = 5  # significant digits of a plotted value


class Diagnosis(NamedTuple):
    """A training diagnosis: its last message and the steps between which it was found."""

    name: str
    message: str
    first_step: int
    last_step: int
    is_current: bool  # at the last line of the log


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
        self.log = list(read_jsonl(run.log))
        self.metrics = list(read_jsonl(run.metrics))

    @property
    def name(self) -> str:
        """The directory of the run."""
        return str(self.run.path)

    @property
    def state(self) -> str:
        """The reason for the end of training, and the step."""
        step = self.log[-1]["step"] if self.log else 0
        return f"{self.config.get('ended', 'unfinished')} at step {step:,}"

    @property
    def headline(self) -> str:
        """Networks, data and steps in a sentence."""
        recipe = self.config["recipe"]
        seconds = finite_or_none(self.log[-1].get("seconds")) if self.log else None
        time = "" if seconds is None else f", in {duration(seconds)}"
        return (
            f"{_component(recipe.get('generator'))} trained on {_component(recipe.get('data'))} "
            f"with {_component(recipe.get('discriminator'))}: {_steps(recipe)} of "
            f"{recipe.get('batch_size')} samples{time}."
        )

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
        planned, lines = _ends(self.config.get("schedules")), [finite_values(x) for x in self.log]
        names = in_order([*planned, *(name for line in lines for name in line)])
        logged = {name: [line[name] for line in lines if name in line] for name in names}
        return [(name, _movement(planned.get(name), logged[name])) for name in names]

    @property
    def command(self) -> str:
        """The command line that trains this run again."""
        return train_command(self.config)

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """All diagnoses in the log, in the order of their first step."""
        found: dict[str, Diagnosis] = {}
        last = self.log[-1]["step"] if self.log else 0
        for line in self.log:
            entries = line.get("diagnostics")
            for name, message in entries.items() if isinstance(entries, dict) else ():
                first = found[name].first_step if name in found else line["step"]
                is_current = line["step"] == last
                found[name] = Diagnosis(name, str(message), first, line["step"], is_current)
        return list(found.values())

    @property
    def adversarial_steps(self) -> list[int]:
        """The logged steps of adversarial training, counted after likelihood pretraining."""
        steps = [line["step"] for line in self.log if ADVERSARIAL_KEY in line]
        before = [
            line["step"]
            for line in self.log
            if ADVERSARIAL_KEY not in line
            and "seconds" in line
            and steps
            and line["step"] < steps[0]
        ]
        return [step - max(before, default=0) for step in steps]

    @property
    def metric_table(self) -> MetricTable | None:
        """The table of evaluation.json, else the last line of metrics.jsonl; None without both."""
        table = read_evaluation(self.run.path)
        if table is not None:
            rows = {str(name): finite_values(row) for name, row in table["rows"].items()}
            return MetricTable(
                rows, _intervals(table), [str(note) for note in table["notes"]], True
            )
        if not self.metrics:
            return None
        last = self.metrics[-1]
        row = {name: value for name, value in finite_values(last).items() if name != "step"}
        note = f"measured on the validation split at step {last['step']:,}, without floors"
        return MetricTable({"generator": row}, {}, [note], False)

    @property
    def model(self) -> dict[str, float]:
        """The metrics of the generator: the last row of the table."""
        table = self.metric_table
        return {} if table is None else dict(table.rows[list(table.rows)[-1]])


def metric_sources(summaries: list[RunSummary]) -> list[str]:
    """Return the source of the metrics of each run, and a note if they cannot be compared."""
    tables = {summary.name: summary.metric_table for summary in summaries}
    kinds = {name: table.is_complete if table else None for name, table in tables.items()}
    sources = {True: "evaluation.json", False: "the last line of metrics.jsonl", None: "nowhere"}
    notes = [f"{name}: from {sources[kind]}" for name, kind in kinds.items()]
    if len(set(kinds.values())) > 1:
        notes.append("not of one split: run multigan evaluate on each before comparing them")
    return notes


def finite_or_none(value: Any) -> float | None:
    """Return a finite number, or None; the log of an untrusted run may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e300 and math.isfinite(value) else None


def finite_values(row: Any) -> dict[str, float]:
    """Return the finite numbers of a row, by name."""
    pairs = row.items() if isinstance(row, dict) else ()
    return {str(k): number for k, v in pairs if (number := finite_or_none(v)) is not None}


def subsample(items: list[Any], most: int) -> list[Any]:
    """Return at most `most` items, evenly spaced, with the first and the last."""
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


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
    """Return the name of a component, with its source if it has one; of an adapter its network."""
    if not isinstance(description, dict):
        return "unknown"
    arguments = description.get("arguments")
    if isinstance(arguments, dict) and isinstance(arguments.get("network"), dict):
        return _component(arguments["network"])
    source = arguments.get("source") if isinstance(arguments, dict) else None
    named = str(description.get("component", "unknown"))
    return f"{named} ({source})" if isinstance(source, str) else named


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
