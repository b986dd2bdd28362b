"""A run of training as an object: its directory, and the objects it was trained with."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from multigan.core.protocols import Sampler
from multigan.core.recipe import Recipe
from multigan.core.results_table import ResultsTable
from multigan.core.samples import file_html
from multigan.report.report import report
from multigan.report.run_summary import RunSummary
from multigan.runs.directory import RunDirectory, read_jsonl
from multigan.storage.loading import load


@dataclass(frozen=True)
class Run:
    """A completed run: its directory, its last step, and the reason why it ended."""

    path: Path
    step: int
    ended: str
    is_first: bool = True  # of the processes that trained it
    recipe: Recipe | None = field(default=None, repr=False, compare=False)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the generator: of evaluation.json, else of the last checkpoint.

        Empty where nothing could be measured.
        """
        return RunSummary(RunDirectory(self.path)).model

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl, a dictionary of each; the keys are in reference/log-keys.md."""
        return list(read_jsonl(RunDirectory(self.path).log))

    def sampler(self) -> Sampler:
        """Return the generator of the best checkpoint, else of the newest, with its domain."""
        return load(self.path, trust=self.recipe)

    def report(self) -> Path:
        """Write report.html in the directory of the run; return the file."""
        return report(self.path, trust=self.recipe)

    def _repr_html_(self) -> str:
        """Show the run, its metrics and its newest samples in a notebook."""
        directory = RunDirectory(self.path)
        summary = RunSummary(directory)
        state, headline = escape(summary.state), escape(summary.headline)
        parts = [f"<p><b>{escape(str(self.path))}</b>: {state}<br>{headline}</p>"]
        table = summary.metric_table
        files = sorted(directory.samples.glob("step-*"))
        if table is not None:
            parts.append(ResultsTable(table.rows, tuple(table.notes))._repr_html_())
        parts += [file_html(file) for file in files if file.stem == files[-1].stem]
        return "".join(parts)
