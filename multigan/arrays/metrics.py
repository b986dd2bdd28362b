"""Evaluation of a generator of arrays in data space: no network extracts features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from multigan.core import fidelity
from multigan.core.evaluation_size import evaluation_size
from multigan.core.modules import sample_batch
from multigan.core.protocols import (
    SAMPLING_BATCH_SIZE,
    Batch,
    Condition,
    Dataset,
    EvaluationSkipped,
    Generator,
)
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map

NUM_EVAL_SAMPLES = 1000  # in each row of the table, at most
MIN_EVAL_SAMPLES = 32
MAX_TRAIN_SAMPLES = 10_000  # that a sample is compared with
MAX_FEATURES = 64  # of longer samples a random projection is measured
SAMPLES_PER_FEATURE = 4  # at least: the Frechet distance fits a covariance
NEIGHBORS = 5  # k of precision, recall, density and coverage
ROW_TRAIN, ROW_HELD_OUT, ROW_GENERATOR = "real (train)", "real (held out)", "generator"


class Features:
    """Samples as standardized vectors (N, F): by the training samples, longer ones projected."""

    def __init__(self, train: Tensor, count: int) -> None:
        flat = train.flatten(1).double()
        self.mean, self.scale = flat.mean(0), flat.std(0)
        self.scale[self.scale == 0] = 1.0  # a constant feature
        self.size = flat.shape[1]
        self.width = min(self.size, MAX_FEATURES, max(1, count // SAMPLES_PER_FEATURE))
        self.projection: Tensor | None = None
        if self.width < self.size:
            rng = keyed_rng("projection", self.size, self.width)
            shape = (self.size, self.width)
            matrix = torch.randn(shape, generator=rng, dtype=torch.float64)
            self.projection = matrix / math.sqrt(self.size)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, ...) -> (N, F), float64."""
        rows = (x.flatten(1).double() - self.mean) / self.scale
        return rows if self.projection is None else rows @ self.projection

    @property
    def description(self) -> str:
        """A phrase for the notes of a table."""
        text = f"the {self.size} values of a sample, each divided by its standard deviation"
        if self.projection is None:
            return text
        return f"{self.width} fixed random projections of {text}"


def evaluate(
    generator: Generator, data: Dataset, rng: torch.Generator, has_labels: bool
) -> ResultsTable:
    """Compare training samples, held-out samples, a Gaussian and the generator with `data`.

    `data` is a held-out split. All rows have one count. The generator gets the conditions of
    `data`. Raises EvaluationSkipped for splits of fewer than MIN_EVAL_SAMPLES samples.
    """
    train, other = data.split("train"), _other_held_out_split(data)
    n = min(len(data), len(other), len(train), evaluation_size(NUM_EVAL_SAMPLES))
    if n < MIN_EVAL_SAMPLES:
        raise EvaluationSkipped(
            f"each split must have {MIN_EVAL_SAMPLES} samples or more; got {n}: use more data, or "
            "a larger held_out"
        )
    real, held_out = _subset(data, n), _subset(other, n)
    fitted = _subset(train, MAX_TRAIN_SAMPLES)
    features = Features(fitted.x, n)
    labels = real.condition if has_labels else None
    fakes = _sample(generator, real.condition, n, rng)
    known, train_labels = features(fitted.x), fitted.condition if has_labels else None
    sets = {
        ROW_TRAIN: (known[:n], None if train_labels is None else train_labels[:n]),
        ROW_HELD_OUT: (features(held_out.x), held_out.condition if has_labels else None),
        _baseline_name(has_labels): (_gaussian(known, train_labels, labels, n, rng), labels),
        ROW_GENERATOR: (features(fakes), labels),
    }
    expected, spread = features(real.x), _within_class_sd(features(real.x), labels)
    nearest = _nearest(expected, known)
    rows = {
        name: _metrics(expected, rows, rng)
        | {"intra_class_std_ratio": _ratio(_within_class_sd(rows, own), spread)}
        for name, (rows, own) in sets.items()
    }
    for name in sets.keys() - {ROW_TRAIN}:
        rows[name]["nn_distance_ratio"] = _ratio(_nearest(sets[name][0], known), nearest)
    finite = {k: {m: v for m, v in row.items() if math.isfinite(v)} for k, row in rows.items()}
    return ResultsTable(finite, _notes(features, n, len(known), has_labels))


def _metrics(real: Tensor, fake: Tensor, rng: torch.Generator) -> dict[str, float]:
    """Fidelity and diversity of fakes (N, F) against as many reals."""
    return {
        "frechet_distance": fidelity.frechet_distance(real, fake),
        "kernel_distance": fidelity.kernel_distance(
            real, fake, rng, subsets=1, subset_size=len(real)
        ).mean,
        **fidelity.precision_recall(real, fake, NEIGHBORS)._asdict(),
        **fidelity.density_coverage(real, fake, NEIGHBORS)._asdict(),
    }


def _subset(data: Dataset, most: int) -> Batch:
    """Return at most `most` samples of a split, in a fixed random order."""
    order = torch.randperm(len(data), generator=keyed_rng("evaluate", len(data)))
    return data.batch(order[:most], keyed_rng("evaluate"))


def _sample(generator: Generator, condition: Condition, n: int, rng: torch.Generator) -> Tensor:
    """Sample `n` fakes under the conditions, in chunks."""
    parts = []
    for rows in torch.arange(n).split(SAMPLING_BATCH_SIZE):
        own = tree_map(lambda leaf, rows=rows: leaf[rows], condition)
        parts.append(sample_batch(generator, len(rows), rng, own))
    return torch.cat(parts)


def _gaussian(
    train: Tensor, train_labels: Tensor | None, labels: Tensor | None, n: int, rng: torch.Generator
) -> Tensor:
    """Sample a Gaussian with the mean and covariance of the training rows, of each class."""
    if labels is None or train_labels is None:
        return _gaussian_rows(train, n, rng)
    sampled = torch.empty(n, train.shape[1], dtype=train.dtype)
    for label in labels.unique().tolist():
        own, here = train[train_labels == label], labels == label
        sampled[here] = _gaussian_rows(own if len(own) > 1 else train, int(here.sum()), rng)
    return sampled


def _gaussian_rows(rows: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """mean + z (rows - mean) / sqrt(N - 1), z standard Gaussian (n, N): no root is needed."""
    mean = rows.mean(0)
    weights = torch.randn(n, len(rows), generator=rng, dtype=rows.dtype)
    return mean + weights @ (rows - mean) / math.sqrt(len(rows) - 1)


def _within_class_sd(rows: Tensor, labels: Tensor | None) -> float:
    """The standard deviation within a class, over features and classes; of all rows without."""
    groups = [rows] if labels is None else [rows[labels == k] for k in labels.unique()]
    spreads = [group.std(0).mean() for group in groups if len(group) > 1]
    return float(torch.stack(spreads).mean()) if spreads else math.nan


def _ratio(value: float, reference: float) -> float:
    """The ratio; NaN, which is left out, where the real samples have no scale."""
    return value / reference if reference > 0 else math.nan


def _nearest(rows: Tensor, train: Tensor) -> float:
    """The median distance to the nearest training sample."""
    found = [torch.cdist(chunk, train).amin(1) for chunk in rows.split(fidelity.CHUNK_ROWS)]
    return float(torch.cat(found).median())


def _other_held_out_split(data: Dataset) -> Dataset:
    """The held-out split that `data` is not: "test", unless it is that one."""
    test = data.split("test")
    return data.split("valid") if test.fingerprint == data.fingerprint else test


def _baseline_name(has_labels: bool) -> str:
    return "Gaussian per class" if has_labels else "one Gaussian"


def _notes(features: Features, n: int, num_train: int, has_labels: bool) -> tuple[str, ...]:
    """Describe the rows and columns of the table."""
    where = "within a class" if has_labels else "of all samples"
    return (
        f"{n} samples in every row, compared with {n} held-out ones; k = {NEIGHBORS}, where equal "
        "distributions have an expected coverage of "
        f"{fidelity.expected_coverage(n, n, NEIGHBORS):.3f}",
        f"measured on {features.description}",
        f"{ROW_HELD_OUT}: the floor of every column (frechet_distance is above 0: N is finite)",
        f"{_baseline_name(has_labels)}: with the mean and covariance of {num_train:,} training "
        "samples: a baseline without a network",
        f"intra_class_std_ratio: standard deviation {where} over that of real samples; 1 is ideal",
        f"nn_distance_ratio: median distance to the nearest of {num_train:,} training samples over "
        "that of held-out ones; about 1 is ideal, 0 is memorization",
    )
