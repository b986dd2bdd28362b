"""What the files of a run say about it, in plain words. Imports no torch and runs nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from multigan.runs.directory import RunDirectory, read_evaluation, read_jsonl
from multigan.runs.provenance import train_command

MOST_LINES = 1000  # of a log, on a page
GAME = "logits/gap"  # what every line of the game has, and the health monitor reads
DIGITS = 5  # significant ones of a figure on a page


class Diagnosis(NamedTuple):
    """A sign of sickness: what was said of it last, and where it stood."""

    sign: str
    said: str
    first_step: int
    last_step: int
    stands: bool  # still, at the last line of the log


class MetricTable(NamedTuple):
    """A table of figures: `rows` name -> metric -> value, and what they are worth."""

    rows: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, list[float]]]
    notes: list[str]
    whole: bool  # with floors and reference rows, as `multigan evaluate` writes it


class RunSummary:
    """A run as its files describe it. Raises ValueError for a directory that holds no run."""

    def __init__(self, run: RunDirectory) -> None:
        self.run, self.description = run, run.read_config()
        self.log = list(read_jsonl(run.log))
        self.metrics = list(read_jsonl(run.metrics))

    @property
    def name(self) -> str:
        """How the run is called on a page: its directory."""
        return str(self.run.path)

    @property
    def state(self) -> str:
        """Why it ended, and at which step."""
        step = self.log[-1]["step"] if self.log else 0
        return f"{self.description.get('ended', 'unfinished')} at step {step:,}"

    @property
    def lead(self) -> str:
        """What was trained on what, in a sentence."""
        recipe = self.description["recipe"]
        seconds = finite_or_none(self.log[-1].get("seconds")) if self.log else None
        took = "" if seconds is None else f", in {duration(seconds)}"
        return (
            f"{_part(recipe.get('generator'))} learnt from {_part(recipe.get('data'))} against "
            f"{_part(recipe.get('discriminator'))}: {_steps(recipe)} of "
            f"{recipe.get('batch_size')} samples{took}."
        )

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What there is to know about how it was trained: name, value."""
        recipe, description = self.description["recipe"], self.description
        stored = description.get("versions")
        versions = stored if isinstance(stored, dict) else {}
        found = {
            "Recipe": description["name"],
            "Data": _detailed(recipe.get("data")),
            "Generator": _detailed(recipe.get("generator")),
            "Discriminator": _detailed(recipe.get("discriminator")),
            "Game": recipe.get("loss"),
            "Penalties": _listed(recipe.get("penalties")),
            "Seed": description["seed"],
            "Fingerprint of the data": description["fingerprint"],
            "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        }
        return [(name, str(value)) for name, value in found.items() if value not in (None, "")]

    @property
    def knobs(self) -> list[tuple[str, str]]:
        """The values that the recipe was given."""
        return [(k, str(v)) for k, v in self.description["knobs"].items()]

    @property
    def command(self) -> str:
        """The command line that trains this run again."""
        return train_command(self.description)

    @property
    def verdicts(self) -> list[Diagnosis]:
        """Every sign of sickness that the health monitor said, in the order of the first time."""
        found: dict[str, Diagnosis] = {}
        last = self.log[-1]["step"] if self.log else 0
        for line in self.log:
            said = line.get("health")
            for sign, text in said.items() if isinstance(said, dict) else ():
                first = found[sign].first_step if sign in found else line["step"]
                stands = line["step"] == last
                found[sign] = Diagnosis(sign, str(text), first, line["step"], stands)
        return list(found.values())

    @property
    def game_steps(self) -> list[int]:
        """The steps of the game that have a line in the log: those of a likelihood stage do not."""
        game = [line["step"] for line in self.log if GAME in line]
        before = [line["step"] for line in self.log if GAME not in line and "seconds" in line]
        learnt = max((step for step in before if step < game[0]), default=0) if game else 0
        return [step - learnt for step in game]

    @property
    def measured(self) -> MetricTable | None:
        """`evaluation.json` if there is one, else the last line of metrics.jsonl; None without."""
        table = read_evaluation(self.run.path)
        if table is not None:
            rows = {str(name): figures(row) for name, row in table["rows"].items()}
            return MetricTable(
                rows, _intervals(table), [str(note) for note in table["notes"]], True
            )
        if not self.metrics:
            return None
        last = self.metrics[-1]
        row = {name: value for name, value in figures(last).items() if name != "step"}
        note = f"measured on the validation split at step {last['step']:,}, without floors"
        return MetricTable({"this model": row}, {}, [note], False)

    @property
    def model(self) -> dict[str, float]:
        """The figures of this model alone."""
        measured = self.measured
        return {} if measured is None else dict(measured.rows[list(measured.rows)[-1]])


def metric_sources(summaries: list[RunSummary]) -> list[str]:
    """Where each run's figures are from, and whether they can be compared."""
    kinds = {s.name: s.measured.whole if s.measured else None for s in summaries}
    said = {True: "evaluation.json", False: "the last line of metrics.jsonl", None: "nowhere"}
    notes = [f"{name}: from {said[kind]}" for name, kind in kinds.items()]
    if len(set(kinds.values())) > 1:
        notes.append("not of one split: run multigan evaluate on each before comparing them")
    return notes


def finite_or_none(value: Any) -> float | None:
    """A finite number, or None: a stranger's log may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e300 and math.isfinite(value) else None


def figures(row: Any) -> dict[str, float]:
    """The finite numbers of a row, by name."""
    pairs = row.items() if isinstance(row, dict) else ()
    return {str(k): number for k, v in pairs if (number := finite_or_none(v)) is not None}


def subsample(items: list[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


def metric_curves(lines: list[dict[str, Any]]) -> tuple[list[int], dict[str, list[float | None]]]:
    """The steps, and every figure at each of them; at most about a thousand steps."""
    merged: dict[int, dict[str, float]] = {}
    for line in lines:
        merged.setdefault(line["step"], {}).update(figures(line))
    steps = subsample(sorted(merged), MOST_LINES)
    names = dict.fromkeys(name for step in steps for name in merged[step])
    return steps, {n: [_rounded(merged[step].get(n)) for step in steps] for n in names}


def duration(seconds: float) -> str:
    """`75 s`, `12 min 5 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _part(description: Any) -> str:
    """The name of a part, with its source if it has one."""
    if not isinstance(description, dict):
        return "something unknown"
    arguments = description.get("arguments")
    source = arguments.get("source") if isinstance(arguments, dict) else None
    named = str(description.get("component", "something unknown"))
    return f"{named} ({source})" if isinstance(source, str) else named


def _detailed(description: Any) -> str:
    """A part and its arguments that are numbers or short words."""
    if not isinstance(description, dict):
        return ""
    arguments = description.get("arguments")
    return f"{description.get('part', '')}: {_listed(arguments)}".rstrip(": ")


def _listed(values: Any) -> str:
    pairs = values.items() if isinstance(values, dict) else ()
    short = [(k, v) for k, v in pairs if isinstance(v, str | int | float) and len(str(v)) < 60]
    return ", ".join(f"{k} {v}" for k, v in short)


def _steps(recipe: Mapping[str, Any]) -> str:
    """How many steps of which stage."""
    game, before = recipe["steps"], recipe.get("likelihood_steps")
    counted = f"{game:,} steps" if isinstance(game, int) else "steps"
    return f"at most {before:,} steps of likelihood, then {counted}" if before else counted


def _intervals(table: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Row -> metric -> [low, high], where they are numbers."""
    stored = table.get("intervals")
    found: dict[str, dict[str, list[float]]] = {}
    for row, metrics in stored.items() if isinstance(stored, dict) else ():
        for metric, ends in metrics.items() if isinstance(metrics, dict) else ():
            known = [finite_or_none(end) for end in ends] if isinstance(ends, list) else []
            if len(known) == 2 and None not in known:
                found.setdefault(str(row), {})[str(metric)] = known  # type: ignore[assignment]
    return found
