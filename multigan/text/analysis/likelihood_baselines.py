"""Comparison of a generator with what likelihood training reaches at the same cost.

A run is compared with its likelihood stage as it ended, with that stage at its best temperature
(chosen on validation lines), and with that stage after as many more likelihood updates as the
adversarial stage had. Each is sampled several times. A difference below the noise is a tie.
Source: Caccia et al. 2020, arXiv:1811.02549, for the temperature.
"""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from multigan.core.fitting import fit
from multigan.core.protocols import Batch, Dataset, Generator
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import in_domain, load_run_data
from multigan.text.analysis.temperature_sweep import (
    ROW_LIKELIHOOD,
    TIE_STANDARD_ERRORS,
    load_samplers,
)
from multigan.text.metrics.evaluation import (
    ROW_GENERATOR,
    ROW_TRAINING_COPY,
    generator_metrics,
    load_references,
)
from multigan.text.metrics.language_model import score
from multigan.text.spec import TextSpec

INVERSE_TEMPERATURES = (0.95, 1.0, 1.05, 1.1)
COMPARED = ("frechet", "lm_nll_gap", "reverse_lm_nll")  # lower is better


class Candidate(NamedTuple):
    """A generator and the inverse temperature of its samples."""

    generator: Generator
    inverse_temperature: float


SampledRows = Mapping[str, Sequence[Mapping[str, float]]]  # row name -> a row for each repeat


def compare_likelihood(
    run: Path,
    *,
    repeats: int = 3,
    seed: int = 0,
    data: str | None = None,
    cache: Path | None = None,
) -> None:
    """Compare a run with its likelihood stage as it was, at its best temperature and trained on.

    Uses test lines and writes baselines.json and baselines.md into the run.

    repeats: samplings of 2,000 lines from each generator, which estimate the noise
    seed: of the sampled lines, and of the training batches
    data: the present location of the same kind of data
    cache: the folder of helper models
    """
    if repeats < 2:
        raise ValueError(f"repeats must be 2 or more, to estimate the noise; got {repeats}")
    samplers = load_samplers(run)
    if ROW_LIKELIHOOD not in samplers:
        raise ValueError(f"{run} must have a likelihood stage; got a run without one")
    pretrained = samplers[ROW_LIKELIHOOD].generator
    trained = in_domain(load_run_data(run, data), samplers[ROW_LIKELIHOOD].domain)
    valid, test = trained.split("valid"), trained.split("test")
    spec: Any = samplers[ROW_LIKELIHOOD].domain
    folder = cache_dir(cache)
    best = best_inverse_temperature(spec, pretrained, valid, seed, folder)
    steps, lr, batch_size = _stage_settings(run)
    candidates = {
        ROW_LIKELIHOOD: Candidate(pretrained, 1.0),
        f"likelihood at inverse temperature {best:g}": Candidate(pretrained, best),
        f"likelihood, {steps} more steps": Candidate(
            continue_training(pretrained, trained.split("train"), steps, lr, batch_size, seed), 1.0
        ),
        ROW_GENERATOR: Candidate(samplers[ROW_GENERATOR].generator, 1.0),
    }
    rows, sampled = measure_candidates(spec, candidates, test, repeats, seed, folder)
    table = _table(rows, sampled)
    write_atomically(run / "baselines.json", table.json().encode())
    write_atomically(run / "baselines.md", table.markdown().encode())
    print(table.markdown())
    for name in candidates:
        if name != ROW_GENERATOR:
            print(f"against {name}: {comparison(sampled[ROW_GENERATOR], sampled[name])}")


def best_inverse_temperature(
    spec: TextSpec, generator: Generator, valid: Dataset, seed: int, cache: Path
) -> float:
    """The one of INVERSE_TEMPERATURES with the lowest selection score on validation lines."""
    evaluator, rows = load_references(spec, valid, cache)
    scores = {}
    for value in INVERSE_TEMPERATURES:
        rng = keyed_rng(seed, "alpha")
        row = generator_metrics(evaluator, rows, generator, valid, rng, 1 / value)
        scores[value] = row["selection_score"]
    return min(INVERSE_TEMPERATURES, key=lambda value: scores[value])


def continue_training(
    generator: Any, train: Dataset, steps: int, lr: float, batch_size: int, seed: int
) -> Any:
    """Copy the generator and train it for more likelihood updates, at its final learning rate."""

    def batches(rng: torch.Generator) -> Batch:
        return train.batch(torch.randint(len(train), (batch_size,), generator=rng))

    def loss(model: Any, batch: Batch) -> torch.Tensor:
        return -model.log_likelihood(batch).mean()

    model = copy.deepcopy(generator).requires_grad_(True)
    return fit(model, loss, batches, steps, lr, keyed_rng(seed, "control"))


def measure_candidates(
    spec: TextSpec,
    candidates: Mapping[str, Candidate],
    held_out: Dataset,
    repeats: int,
    seed: int,
    cache: Path,
) -> tuple[Mapping[str, Mapping[str, float]], SampledRows]:
    """The rows that depend on no generator, and those of every candidate's repeats.

    `lm_nll_gap` is the distance of `lm_nll` from that of the held-out lines themselves.
    """
    evaluator, rows = load_references(spec, held_out, cache)
    real = score(evaluator.model, spec.encode(list(evaluator.held_out))).per_token

    def sample_row(name: str, repeat: int) -> dict[str, float]:
        generator, inverse_temperature = candidates[name]
        rng = keyed_rng(seed, "baselines", repeat)
        temperature = 1 / inverse_temperature
        row = generator_metrics(evaluator, rows, generator, held_out, rng, temperature)
        return {"lm_nll_gap": abs(row["lm_nll"] - real)} | row

    return rows, {name: [sample_row(name, k) for k in range(repeats)] for name in candidates}


def comparison(model: Sequence[Mapping[str, float]], other: Sequence[Mapping[str, float]]) -> str:
    """Describe, for each of COMPARED, the difference of the model from another and its noise.

    A difference of less than TIE_STANDARD_ERRORS standard errors is a tie.
    """
    results = []
    for metric in COMPARED:
        sides = [[row[metric] for row in side] for side in (model, other)]
        gap = statistics.mean(sides[0]) - statistics.mean(sides[1])
        variance = sum(statistics.variance(side) / len(side) for side in sides)
        margin = TIE_STANDARD_ERRORS * variance**0.5
        word = "tied" if abs(gap) <= margin else "better" if gap < 0 else "worse"
        results.append(f"{metric} {word} ({gap:+.4f}, noise {margin:.4f})")
    return ", ".join(results)


def _stage_settings(run: Path) -> tuple[int, float, int]:
    """Adversarial steps, final learning rate of the likelihood stage, and batch size of a run."""
    recipe = json.loads((run / "recipe.json").read_text())["recipe"]
    lr = recipe["likelihood_lr"]
    lr = lr["schedule"]["end"] if isinstance(lr, dict) else lr
    return recipe["steps"], lr, recipe["batch_size"]


def _table(rows: Mapping[str, Mapping[str, float]], sampled: SampledRows) -> ResultsTable:
    """Means over the repeats, with their minima and maxima."""
    means, ranges = {}, {}
    for name, repeats in sampled.items():
        columns = {metric: [row[metric] for row in repeats] for metric in repeats[0]}
        means[name] = {metric: statistics.mean(values) for metric, values in columns.items()}
        ranges[name] = {m: (min(v), max(v)) for m, v in columns.items() if m != "lines"}
    note = (
        f"means of {len(sampled[ROW_GENERATOR])} samplings, from the lowest to the highest, "
        f"against test lines; {ROW_TRAINING_COPY} is the floor; lm_nll_gap: the distance of "
        "lm_nll from that of the test lines"
    )
    return ResultsTable({ROW_TRAINING_COPY: rows[ROW_TRAINING_COPY], **means}, (note,), ranges)
