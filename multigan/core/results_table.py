"""Results of an evaluation, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

MAX_COLUMNS = 8  # metrics side by side, in a terminal, a model card or a page


@dataclass(frozen=True)
class ResultsTable:
    """Results of `evaluate`: row name -> metric -> value. The last row is the generator.

    A value that a row cannot have (the classifier's accuracy of a floor) is absent.
    `notes` name the extractor, the sample counts, each floor and the meaning of intervals.
    """

    rows: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """Every metric of every row, in order of first appearance."""
        return list(dict.fromkeys(metric for row in self.rows.values() for metric in row))

    @property
    def model(self) -> Mapping[str, float]:
        """The last row: the generator."""
        return self.rows[list(self.rows)[-1]]

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

        Intervals, if any: row name -> metric -> [low, high].
        """
        rows = {name: finite_or_none(row) for name, row in self.rows.items()}
        intervals = {"intervals": self.intervals} if self.intervals else {}
        return json.dumps({"rows": rows, **intervals, "notes": list(self.notes)})

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
