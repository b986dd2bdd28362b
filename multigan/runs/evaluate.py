"""Evaluate a run on a split of its data."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from multigan.core.modules import device_of
from multigan.core.protocols import Dataset, Sampler, SupportsLikelihoodUnits
from multigan.core.refinement import LOG_2
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.engine.refinement import measure_gain
from multigan.runs.data_comparison import update_data_comparison
from multigan.runs.directory import EVALUATION, RunDirectory
from multigan.storage.checkpoint_integrity import (
    GENERATOR_EMA_FILE,
    LIKELIHOOD_CHECKPOINT,
    resolve_weights_file,
)
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import Trusted, in_domain, load, load_data
from multigan.storage.pretrained import is_packaged, pretrained_metadata
from multigan.storage.refiners import refiner_file

REFINED = "refined"  # the row of refined samples
NUM_GENERATED = 10_000  # samples of the generator by which the gain is measured


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

    The samples of a report are compared with the training data too, in data_comparison.json.

    `path` may also be the name of a pretrained generator, for which nothing is written. `data` is
    another source of the dataset, which keeps the domain of the generator: its tokenizer. A run
    with likelihood pretraining has a row for the generator at the end of that stage, and a run with
    a refiner a row for the samples that it chooses. Raises ValueError for a missing or damaged run,
    and for data that have changed since training.
    """
    run, packaged = RunDirectory(path), is_packaged(path)
    config = pretrained_metadata(str(path))["recipe"] if packaged else run.read_config()
    run.reject_links()
    sampler = load(path, trust=trust, device=device)
    whole = load_data(config, data, trust)
    dataset = in_domain(whole.split(split), sampler.domain)

    def evaluate_file(weights: Path) -> ResultsTable:
        return evaluate_sampler(load(weights, trust=trust, device=device))

    def evaluate_sampler(sampler: Sampler) -> ResultsTable:
        rng = keyed_rng(seed, "evaluate")
        table = sampler.domain.evaluate(sampler, dataset, rng, cache_dir(cache))
        return replace(table, headline=table.headline or sampler.domain.selection_metric)

    weights = resolve_weights_file(run.path)
    table = evaluate_sampler(sampler)
    baseline = run.checkpoints / LIKELIHOOD_CHECKPOINT / GENERATOR_EMA_FILE
    if baseline.is_file():
        table = with_baseline(table, LIKELIHOOD_CHECKPOINT, evaluate_file(baseline))
    if refiner_file(run.path).is_file():
        try:
            refined = load(run.path, trust=trust, device=device, refine=True)
        except ValueError as error:  # the weights are others than those it was fitted to
            warnings.warn(f"there is no row of refined samples: {error}", stacklevel=2)
        else:
            table = add_refined(table, refined, evaluate_sampler(refined), dataset, seed)
    note = f"evaluated: checkpoint {weights.parent.name}, split {split}, seed {seed}"
    note += "" if data is None else f", of other data: {data}"
    table = replace(table, notes=(*table.notes, note))
    if packaged:
        return table
    write_atomically(run.path / EVALUATION, table.json().encode())
    write_atomically(run.path / "evaluation.md", table.markdown().encode())
    if data is None:
        update_data_comparison(run.path, whole, trust)
    return table


def add_refined(
    table: ResultsTable,
    refined: Sampler,
    row_table: ResultsTable,
    data: Dataset,
    seed: int,
) -> ResultsTable:
    """Insert the row "refined" before the generator's, with its gain, its cost and their notes."""
    generator: Any = refined.generator
    gain = measure_gain(
        generator.refiner,
        generator.card,
        generator.generator,
        data,
        seed=seed,
        num_fake=NUM_GENERATED,
        device=device_of(generator),
    )
    row = dict(row_table.model) | {
        "gain_nats": gain.nats,
        "effective_sample_size": gain.effective_sample_size,
        "candidates_per_sample": generator.candidates_per_sample,
        "refiner_log_loss": gain.log_loss,
    }
    if isinstance(data.domain, SupportsLikelihoodUnits):
        for unit, count in data.domain.likelihood_units(data).items():
            if f"nll_{unit}" in table.model:
                row[f"nll_{unit}"] = table.model[f"nll_{unit}"] - gain.nats / count
    table = with_baseline(table, REFINED, replace(row_table, rows={REFINED: row}))
    card = generator.card
    note = (
        f"{REFINED}: candidates_per_sample of at most {generator.candidates}; "
        "gain_nats over the generator, a sample: E_real[T] - log Z over "
        f"{gain.num_real:,} real and {gain.num_fake:,} generated samples, 95 % intervals by "
        f"bootstrap; log Z {gain.log_z:.4f} lacks about {gain.log_z_bias:.4f}, its bias; "
        f"refiner_log_loss: of the logit on this split, scaled by {card.scale:.2f}, less log Z; "
        f"{LOG_2:.4f} without knowledge; nll of the pair: the generator's minus the gain"
    )
    return replace(
        table,
        notes=(*table.notes, note),
        intervals={**table.intervals, REFINED: {"gain_nats": gain.interval}},
    )


def with_baseline(table: ResultsTable, name: str, baseline: ResultsTable) -> ResultsTable:
    """Insert the last row of `baseline`, called `name`, before the last row of `table`."""
    *others, model = table.rows
    rows = {row: table.rows[row] for row in others} | {name: baseline.model}
    return replace(table, rows=rows | {model: table.model})
