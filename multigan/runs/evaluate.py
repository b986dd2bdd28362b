"""Measure a run against its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from multigan.storage.files import cache_dir
from multigan.core.results_table import ResultsTable
from multigan.storage.files import write_atomically
from multigan.storage.loading import load_data
from multigan.core.rng import keyed_rng
from multigan.runs.directory import EVALUATION, RunDirectory
from multigan.storage.loading import load
from multigan.storage.checkpoint_files import (LIKELIHOOD_CHECKPOINT, GENERATOR_EMA_FILE, resolve_weights_file)


def evaluate(
    path: str | Path,
    *,
    data: str | None = None,
    seed: int = 0,
    split: str = "test",
    device: str = "cpu",
    cache: str | Path | None = None,
    trust: ModuleType | None = None,
) -> ResultsTable:
    """Evaluate a run against the test split of its data (`data`: of that source instead).

    A run with a likelihood stage shows what that ended with in a row of its own. Writes
    `evaluation.json` and `evaluation.md` into the run. Raises ValueError for a missing or
    damaged run, or data that have changed since.
    """
    run = RunDirectory(path)
    description = run.description()
    run.demand_own_files()
    against = load_data(description, data, trust).split(split)

    def measure(weights: Path) -> ResultsTable:
        sampler = load(weights, trust=trust, device=device)
        rng = keyed_rng(seed, "evaluate")
        return sampler.domain.evaluate(sampler, against, rng, cache_dir(cache))

    weights = resolve_weights_file(run.path)
    table = measure(weights)
    baseline = run.checkpoints / LIKELIHOOD_CHECKPOINT / GENERATOR_EMA_FILE
    if baseline.is_file():
        table = with_baseline(table, LIKELIHOOD_CHECKPOINT, measure(baseline))
    measured = f"{weights.parent.name} against the split {split}, seed {seed}"
    table = replace(table, notes=(*table.notes, f"measured: the checkpoint {measured}"))
    write_atomically(run.path / EVALUATION, table.json().encode())
    write_atomically(run.path / "evaluation.md", table.markdown().encode())
    return table


def with_baseline(table: ResultsTable, name: str, baseline: ResultsTable) -> ResultsTable:
    """The table with the model of another one as the row before its own model."""
    *others, model = table.rows
    rows = {row: table.rows[row] for row in others} | {name: baseline.model}
    return replace(table, rows=rows | {model: table.model})
