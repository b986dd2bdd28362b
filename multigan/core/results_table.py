"""Results of an evaluation, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from multigan.core.quality import Quality, quality_of

MAX_COLUMNS = 8  # metrics side by side, in a terminal, a model card or a page


@dataclass(frozen=True)
class ResultsTable:
    """Results of `evaluate`: row name -> metric -> value. The last row is the generator.

    A value that a row cannot have (the classifier's accuracy of a floor) is absent.
    `notes` name the extractor, the sample counts, each floor and the meaning of intervals.
    `floor` and `baseline` name the rows of real data and of a model without a network that
    `headline`, the metric that sums up quality, is compared with.
    """

    rows: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    headline: str = ""
    floor: str = ""
    baseline: str = ""

    @property
    def metrics(self) -> list[str]:
        """Every metric of every row, in order of first appearance."""
        return list(dict.fromkeys(metric for row in self.rows.values() for metric in row))

    @property
    def model(self) -> Mapping[str, float]:
        """The last row: the generator."""
        return self.rows[list(self.rows)[-1]]

    @property
    def quality(self) -> Quality | None:
        """The headline metric of the generator next to floor and baseline, if it has one."""
        return quality_of(self.rows, self.headline, self.floor, self.baseline)

    @property
    def references(self) -> dict[str, Any]:
        """The names of the headline metric, floor and baseline, and both rows, as JSON values."""
        names = {"headline": self.headline, "floor": self.floor, "baseline": self.baseline}
        used = {n: finite_or_none(row) for n, row in self.rows.items() if n in names.values()}
        return {name: value for name, value in names.items() if value} | {"rows": used}

    def markdown(self) -> str:
        """A Markdown table with the notes below it; with many metrics, one metric a row."""
        is_transposed = len(self.metrics) > MAX_COLUMNS
        rows, metrics = list(self.rows), self.metrics
        columns, names = (rows, metrics) if is_transposed else (metrics, rows)
        lines = ["| | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
        for name in names:
            cells = [(c, name) if is_transposed else (name, c) for c in columns]
            lines.append(f"| {name} | " + " | ".join(self._cell(*cell) for cell in cells) + " |")
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)]) + "\n"

    def _repr_html_(self) -> str:
        """Show the table and its notes in a notebook."""
        heads = "".join(f"<th>{escape(metric)}</th>" for metric in self.metrics)
        lines = [
            f"<tr><th>{escape(row)}</th>"
            + "".join(f"<td>{self._cell(row, metric)}</td>" for metric in self.metrics)
            + "</tr>"
            for row in self.rows
        ]
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        table = f"<table><tr><th></th>{heads}</tr>{''.join(lines)}</table>"
        return f"{table}<ul>{notes}</ul>" if notes else table

    def json(self) -> str:
        """One JSON object: rows and notes; a value that is not finite becomes null.

        Intervals, if any: row name -> metric -> [low, high]; then the names of headline, floor
        and baseline.
        """
        rows = {name: finite_or_none(row) for name, row in self.rows.items()}
        intervals = {"intervals": self.intervals} if self.intervals else {}
        names = {k: v for k, v in self.references.items() if k != "rows"}
        return json.dumps({"rows": rows, **intervals, "notes": list(self.notes), **names})

    def _cell(self, row: str, metric: str) -> str:
        """A value with its interval; empty for an absent one."""
        if metric not in self.rows[row]:
            return ""
        ends = self.intervals.get(row, {}).get(metric)
        text = f"{self.rows[row][metric]:.4g}"
        return text if ends is None else f"{text} [{ends[0]:.3g}, {ends[1]:.3g}]"


def finite_or_none(row: Mapping[str, float]) -> dict[str, float | None]:
    """The row as JSON values: a value that is not finite becomes None."""
    return {name: value if math.isfinite(value) else None for name, value in row.items()}
