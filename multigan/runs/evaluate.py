"""Evaluate a run on a split of its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.runs.directory import EVALUATION, RunDirectory
from multigan.storage.checkpoint_files import (
    GENERATOR_EMA_FILE,
    LIKELIHOOD_CHECKPOINT,
    resolve_weights_file,
)
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import Trusted, load, load_data


def evaluate(
    path: str | Path,
    *,
    data: str | None = None,
    seed: int = 0,
    split: str = "test",
    device: str = "cpu",
    cache: str | Path | None = None,
    trust: Trusted | None = None,
) -> ResultsTable:
    """Evaluate a run on a split of its data, and write evaluation.json and evaluation.md.

    `data` is another source of the dataset. A run with likelihood pretraining has a row for the
    generator at the end of that stage. Raises ValueError for a missing or damaged run, and for
    data that have changed since training.
    """
    run = RunDirectory(path)
    config = run.read_config()
    run.reject_links()
    dataset = load_data(config, data, trust).split(split)

    def evaluate_file(weights: Path) -> ResultsTable:
        sampler = load(weights, trust=trust, device=device)
        rng = keyed_rng(seed, "evaluate")
        table = sampler.domain.evaluate(sampler, dataset, rng, cache_dir(cache))
        return replace(table, headline=table.headline or sampler.domain.selection_metric)

    weights = resolve_weights_file(run.path)
    table = evaluate_file(weights)
    baseline = run.checkpoints / LIKELIHOOD_CHECKPOINT / GENERATOR_EMA_FILE
    if baseline.is_file():
        table = with_baseline(table, LIKELIHOOD_CHECKPOINT, evaluate_file(baseline))
    note = f"evaluated: checkpoint {weights.parent.name}, split {split}, seed {seed}"
    table = replace(table, notes=(*table.notes, note))
    write_atomically(run.path / EVALUATION, table.json().encode())
    write_atomically(run.path / "evaluation.md", table.markdown().encode())
    return table


def with_baseline(table: ResultsTable, name: str, baseline: ResultsTable) -> ResultsTable:
    """Insert the last row of `baseline`, called `name`, before the last row of `table`."""
    *others, model = table.rows
    rows = {row: table.rows[row] for row in others} | {name: baseline.model}
    return replace(table, rows=rows | {model: table.model})
