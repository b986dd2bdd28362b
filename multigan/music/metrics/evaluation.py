"""Evaluation of a music generator against real windows and baselines.

All metrics are computed on lines: the pitch of each monophonic voice at each step, and the highest
and the lowest pitch of each polyphonic one. Rows that do not depend on the model are cached.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from multigan.core.modules import sample_batch
from multigan.core.protocols import Dataset, EvaluationSkipped, Generator
from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.core.rng import keyed_rng
from multigan.music.metrics import note_statistics
from multigan.music.metrics.baselines import BASELINES
from multigan.music.metrics.bootstrap import Interval, bootstrap_intervals
from multigan.music.metrics.conditioning_adherence import (
    conditioning_metrics,
    melody_conditioning,
    melody_line,
    melody_voice,
)
from multigan.music.metrics.harmony import dissonance_rate_to
from multigan.music.metrics.voice_lines import line_names, track_metrics, voice_lines
from multigan.music.metrics.window_boundaries import (
    BOUNDARIES,
    boundary_metrics,
    sample_continuations,
)
from multigan.music.representations.conditioning import (
    Conditioning,
    apply_conditioning,
    unconditional,
)
from multigan.music.representations.tensors import binarize
from multigan.music.spec import MusicSpec
from multigan.storage.tensor_cache import load_tensors, store_tensors

SAMPLED = 1000  # windows in the rows of the generator and of the baselines
MAX_TRAIN_WINDOWS = 4000  # real windows of a split that are evaluated, at most
COMPARED = 64  # windows of a row that are compared with the training windows
BATCH_SIZE = 64  # windows per forward pass
CACHE_VERSION = 3  # raise it when a change alters a cached row
ROW_GENERATOR = "generator"
ROW_HELD_OUT = "real (held out)"
ROW_BASELINE = "Markov"


class ReferenceRows(NamedTuple):
    """Rows of one data set that do not depend on the generator."""

    rows: dict[str, dict[str, float]]
    intervals: dict[str, Interval]  # of the row ROW_HELD_OUT
    features: Tensor  # (M, 13) float64, of training windows
    train: Tensor  # (M, T, L) int16: the lines of these windows


class MetricRow(NamedTuple):
    """Metrics of one row, and features of each of its windows."""

    row: dict[str, float]
    features: Tensor  # (N, 13) float64


def evaluate(
    spec: MusicSpec, generator: Generator, data: Dataset, rng: torch.Generator, cache: Path
) -> ResultsTable:
    """Evaluate real windows, baselines and `generator` against the training windows.

    Raises EvaluationSkipped for fewer than two lines, and ValueError for samples that are not
    finite.
    """
    if len(line_names(spec.voices)) < 2:
        raise EvaluationSkipped("the music metrics need two or more voices; got one")
    references = load_references(spec, data, cache)
    rows, intervals = dict(references.rows), {ROW_HELD_OUT: references.intervals}
    for name, stream, row, groups in _generator_rows(spec, generator, data, rng, references):
        rows[name] = row.row
        intervals[name] = bootstrap_intervals(
            row.features, references.features, groups, _bootstrap_rng(stream)
        )
    return ResultsTable(
        rows,
        _notes(references),
        intervals,
        headline="feature_frechet_distance",
        floor=ROW_HELD_OUT,
        baseline=ROW_BASELINE,
    )


def _generator_rows(
    spec: MusicSpec,
    generator: Generator,
    data: Dataset,
    rng: torch.Generator,
    references: ReferenceRows,
) -> Iterator[tuple[str, str, MetricRow, Tensor]]:
    """Yield each row: its name, the name of its random stream, metrics, groups of windows (N,)."""
    melody = melody_voice(spec)
    if melody is not None:
        indices = _spaced_indices(data, SAMPLED)
        conditioning = melody_conditioning(spec, _windows(data, indices))
        row = _metrics(spec, sample_windows(spec, generator, conditioning, rng), references)
        row.row.update(conditioning_metrics(spec, generator, conditioning, rng.clone_state()))
        voice, groups = spec.voices[melody].name, _groups(data, indices)
        yield f"{ROW_GENERATOR}, given {voice}", f"this model, {voice} given", row, groups
    free = unconditional(SAMPLED, spec.grid.steps, spec.voices)
    unconditioned = _metrics(spec, sample_windows(spec, generator, free, rng), references)
    if spec.grid.bars > 1:
        x = sample_continuations(spec, generator, rng)
        row = _metrics(spec, x, references)
        row.row.update(boundary_metrics(spec, x))
        groups = torch.arange(len(x)) // BOUNDARIES
        yield f"{ROW_GENERATOR}, continued", "this model, continued", row, groups
    yield ROW_GENERATOR, "this model", unconditioned, torch.arange(SAMPLED)


def sample_windows(
    spec: MusicSpec, generator: Generator, conditioning: Conditioning, rng: torch.Generator
) -> Tensor:
    """Sample canonical windows (N, T, C), one for each of N conditions.

    Raises ValueError for values that are not finite.
    """
    sampled = []
    batches = zip(
        conditioning.values.split(BATCH_SIZE), conditioning.mask.split(BATCH_SIZE), strict=True
    )
    for values, mask in batches:
        condition = Conditioning(values, mask)
        x = sample_batch(generator, len(values), rng, condition)
        x = apply_conditioning(x, condition, spec.voices)
        if not x.isfinite().all():
            raise ValueError("samples must be finite; the training of this generator diverged")
        sampled.append(binarize(x, spec.voices))
    return torch.cat(sampled)


def load_references(spec: MusicSpec, data: Dataset, cache: Path) -> ReferenceRows:
    """Return the rows of real windows and baselines, from the cache or computed and cached."""
    train = data.split("train")
    stated = f"{CACHE_VERSION} {spec} {train.fingerprint} {data.fingerprint}"
    key = hashlib.blake2b(stated.encode(), digest_size=8).hexdigest()
    file = cache / f"music-references-{key}.safetensors"
    found = _load(file)
    if found is None:  # missing or damaged
        found = _compute_references(spec, train, data)
        _save(found, file)
    return found


def _compute_references(spec: MusicSpec, train: Dataset, heldout: Dataset) -> ReferenceRows:
    """Compute the rows that do not depend on the generator."""
    references = _train_references(spec, train)
    indices = _spaced_indices(heldout, MAX_TRAIN_WINDOWS)
    x = _windows(heldout, indices)
    real = _metrics(spec, x, references)
    if spec.grid.bars > 1:
        real.row.update(boundary_metrics(spec, x))
    train_x = _windows(train, _spaced_indices(train, MAX_TRAIN_WINDOWS))
    trained = _metrics(spec, train_x, references)
    trained.row.pop("nn_train_distance")  # its windows are among the references: 0
    rows = {"real (train)": trained.row, ROW_HELD_OUT: real.row}
    lines = references.train.long()
    for name, baseline in BASELINES.items():
        rng = keyed_rng(0, "music imitation", name)
        windows = baseline(lines, min(SAMPLED, len(lines)), rng, spec.grid)
        rows[name] = _line_metrics(spec, windows, references).row
    intervals = bootstrap_intervals(
        real.features, references.features, _groups(heldout, indices), _bootstrap_rng(ROW_HELD_OUT)
    )
    return references._replace(rows=rows, intervals=intervals)


def _train_references(spec: MusicSpec, train: Dataset) -> ReferenceRows:
    """Return features and lines of training windows, without any row yet."""
    x = _windows(train, _spaced_indices(train, MAX_TRAIN_WINDOWS))
    lines = voice_lines(x, spec.voices)
    return ReferenceRows({}, {}, note_statistics.features(lines, spec.grid), lines.short())


def _metrics(spec: MusicSpec, x: Tensor, references: ReferenceRows) -> MetricRow:
    """Compute all metrics of canonical windows (N, T, C)."""
    row, features = _line_metrics(spec, voice_lines(x, spec.voices), references)
    return MetricRow(row | track_metrics(x, spec.voices, spec.grid), features)


def _line_metrics(spec: MusicSpec, lines: Tensor, references: ReferenceRows) -> MetricRow:
    """Compute all metrics of lines (N, T, L)."""
    found = note_statistics.features(lines, spec.grid)
    empty = note_statistics.empty_bar_rate(lines, spec.grid.bar_steps).mean(0).tolist()
    some = lines[torch.linspace(0, len(lines) - 1, min(COMPARED, len(lines))).long()]
    melody = melody_line(spec)
    row = {
        "windows": float(len(lines)),
        **note_statistics.aggregate_metrics(found, references.features),
    }
    if melody is not None:
        row["dissonance_rate_to_melody"] = float(dissonance_rate_to(lines, melody).mean())
    row |= zip((f"empty_bar_rate_{n}" for n in line_names(spec.voices)), empty, strict=True)
    row["unique_fraction"] = len(lines.unique(dim=0)) / len(lines)
    distances = note_statistics.nn_train_distance(some, references.train)
    row["nn_train_distance"] = float(distances.median())
    return MetricRow(row, found)


def _spaced_indices(data: Dataset, at_most: int) -> Tensor:
    """Return evenly spaced indices (N,) of a data set."""
    return torch.linspace(0, len(data) - 1, min(at_most, len(data))).long()


def _windows(data: Dataset, indices: Tensor) -> Tensor:
    """Return the windows (N, T, C) at `indices`, untransposed and unconditioned."""
    return data.batch(indices).x.cpu()


def _groups(data: Dataset, indices: Tensor) -> Tensor:
    """Return the piece of each window, (N,), counted from 0."""
    return data.pieces[indices].unique(return_inverse=True)[1]  # type: ignore[attr-defined]


def _bootstrap_rng(row: str) -> torch.Generator:
    return keyed_rng(0, "music intervals", row)


def _save(found: ReferenceRows, file: Path) -> None:
    """Store the rows, their intervals and the features."""
    rows = {name: finite_or_none(row) for name, row in found.rows.items()}
    tensors = {"features": found.features, "train": found.train}
    metadata = {"rows": json.dumps(rows), "intervals": json.dumps(found.intervals)}
    store_tensors(file, tensors, metadata)


def _load(file: Path) -> ReferenceRows | None:
    """Read what `_save` wrote; values that were not finite are NaN. None if it is damaged."""
    stored = load_tensors(file)
    if stored is None or {*stored[0], *stored[1]} != {"features", "train", "rows", "intervals"}:
        return None
    features, train = stored[0]["features"], stored[0]["train"]
    read, ends = (json.loads(stored[1][key]) for key in ("rows", "intervals"))
    rows = {
        name: {metric: float("nan") if v is None else v for metric, v in row.items()}
        for name, row in read.items()
    }
    return ReferenceRows(rows, {name: tuple(pair) for name, pair in ends.items()}, features, train)


def _notes(references: ReferenceRows) -> tuple[str, ...]:
    """Explain the rows and columns of the table."""
    return (
        f"no metric is better for being higher: the goal is the row {ROW_HELD_OUT}; "
        "feature_frechet_distance is between 13 standardized features of a row and of "
        f"{len(references.train):,} training windows, feature_frechet_distance_clipped with those "
        f"beyond {note_statistics.CLIP:g} sd set to that; both are biased upward, by about .05 at "
        "1,000 windows",
        "in brackets: 95 % bootstrap intervals; of real and conditioned windows whole pieces are "
        "resampled, of continued ones whole songs, of unconditional ones single windows",
        "voices shuffled: each line from another training window; Markov: each line an independent "
        "chain of steps; random quarters: uniform pitches in the range of the line",
        "given: the highest monophonic voice of held-out windows is observed, the others are "
        f"generated; compare dissonance_rate_to_melody with the rows {ROW_HELD_OUT} and voices "
        "shuffled; conditioning_exact_rate: windows in which all observed cells come back exactly; "
        "melody_sensitivity: the fraction of steps of the other lines that another melody changes "
        "under the same latent",
        "continued: later windows of long songs, each half conditioned on the one before; "
        "boundary_*: on the steps before and after the window boundary, or after that bar line of "
        "real windows",
        "a note begins where the pitch of a line changes; repeated_note_rate, the fraction of "
        "onsets on the pitch already sounding, is the only metric that sees repeated notes",
        "unique_fraction: the fraction of distinct windows; nn_train_distance: the median fraction "
        f"of cells in which {COMPARED} windows differ from the nearest training window in any key; "
        "0 is a copy",
    )
