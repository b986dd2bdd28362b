"""Evaluation of a music generator against real windows and baselines.

`FeatureSet` says which figures describe the windows of a layout. Rows that do not depend on the
model are cached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.core.evaluation_size import evaluation_size
from multigan.core.fingerprint import fingerprint
from multigan.core.modules import sample_batch
from multigan.core.protocols import Dataset, EvaluationSkipped, Generator
from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.core.rng import keyed_rng
from multigan.music.metrics import note_statistics
from multigan.music.metrics.baselines import BASELINES
from multigan.music.metrics.bootstrap import Interval, bootstrap_intervals
from multigan.music.metrics.cell_baselines import INDEPENDENT_CELLS, cell_baselines
from multigan.music.metrics.cell_rolls import (
    CellRoll,
    concatenate,
    pitched_voices,
    voice_rolls,
)
from multigan.music.metrics.conditioning_adherence import (
    conditioning_metrics,
    melody_conditioning,
    melody_line,
    melody_voice,
)
from multigan.music.metrics.feature_sets import CHUNK, FeatureSet
from multigan.music.metrics.harmony import dissonance_rate_to
from multigan.music.metrics.voice_lines import drum_figures, voice_lines
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
from multigan.music.representations.tensors import binarize, total_channels
from multigan.music.spec import MusicSpec
from multigan.storage.tensor_cache import load_tensors, store_tensors

SAMPLED = 1000  # windows in the rows of the generator and of the baselines
MAX_TRAIN_WINDOWS = 4000  # real windows of a split that are evaluated, at most
COMPARED = 64  # windows of a row that are compared with the training windows
MAX_CELLS = 10**8  # of real windows that are held at once
BATCH_SIZE = 64  # windows per forward pass
CACHE_VERSION = 4  # raise it when a change alters a cached row
ROW_GENERATOR = "generator"
ROW_HELD_OUT = "real (held out)"
ROW_LINE_BASELINE, ROW_CELL_BASELINE = "Markov", "bars shuffled"


class ReferenceRows(NamedTuple):
    """Rows of one data set that do not depend on the generator."""

    rows: dict[str, dict[str, float]]
    intervals: dict[str, Interval]  # of the row ROW_HELD_OUT
    features: Tensor  # (M, F) float64, of training windows
    train: Tensor  # (M, T, L) int16: the lines of these windows


class MetricRow(NamedTuple):
    """Metrics of one row, and features of each of its windows."""

    row: dict[str, float]
    features: Tensor  # (N, F) float64


class Measured(NamedTuple):
    """Measurements of N windows."""

    features: Tensor  # (N, F) float64
    lines: Tensor  # (N, T, L) int16
    drums: dict[str, Tensor]  # figure -> its values (N,)


def feature_set(spec: MusicSpec) -> FeatureSet:
    """Return the figures of the windows of a spec."""
    voice = melody_voice(spec)
    pitched = pitched_voices(spec.voices)
    melody = None if voice is None else pitched.index(spec.voices[voice])
    return FeatureSet(spec.voices, spec.grid, melody if len(pitched) > 1 else None)


def evaluate(
    spec: MusicSpec, generator: Generator, data: Dataset, rng: torch.Generator, cache: Path
) -> ResultsTable:
    """Evaluate real windows, baselines and `generator` against the training windows.

    Raises EvaluationSkipped without a pitched voice, and ValueError for samples that are not
    finite.
    """
    if not pitched_voices(spec.voices):
        raise EvaluationSkipped("the music metrics need a pitched voice; got drums alone")
    references = load_references(spec, data, cache)
    rows, intervals = dict(references.rows), {ROW_HELD_OUT: references.intervals}
    for name, stream, row, groups in _generator_rows(spec, generator, data, rng, references):
        rows[name] = row.row
        intervals[name] = _intervals(spec, row, references, groups, stream)
    return ResultsTable(
        rows,
        _notes(spec, references),
        intervals,
        headline="feature_frechet_distance",
        floor=ROW_HELD_OUT,
        baseline=_baseline(rows),
    )


def _baseline(rows: Mapping[str, Any]) -> str:
    """Return the name of the row that a model without a network has."""
    known = (ROW_LINE_BASELINE, ROW_CELL_BASELINE, INDEPENDENT_CELLS)
    return next(name for name in known if name in rows)


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
        indices = _spaced_indices(data, evaluation_size(SAMPLED))
        conditioning = melody_conditioning(spec, _windows(data, indices))
        x = sample_windows(spec, generator, conditioning, rng)
        row = _row(spec, _measure(spec, x), references)
        row.row.update(conditioning_metrics(spec, generator, conditioning, rng.clone_state()))
        voice, groups = spec.voices[melody].name, _groups(data, indices)
        yield f"{ROW_GENERATOR}, given {voice}", f"this model, {voice} given", row, groups
    free = unconditional(evaluation_size(SAMPLED), spec.grid.steps, spec.voices)
    unconditioned = _row(
        spec, _measure(spec, sample_windows(spec, generator, free, rng)), references
    )
    if spec.grid.bars > 1:
        x = sample_continuations(spec, generator, rng)
        row = _row(spec, _measure(spec, x), references)
        row.row.update(boundary_metrics(spec, x))
        groups = torch.arange(len(x)) // BOUNDARIES
        yield f"{ROW_GENERATOR}, continued", "this model, continued", row, groups
    yield ROW_GENERATOR, "this model", unconditioned, torch.arange(evaluation_size(SAMPLED))


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
    key = fingerprint((stated,), size=8)
    file = cache / f"music-references-{key}.safetensors"
    found = _load(file)
    if found is None:  # missing or damaged
        found = _compute_references(spec, train, data)
        _save(found, file)
    return found


def _compute_references(spec: MusicSpec, train: Dataset, heldout: Dataset) -> ReferenceRows:
    """Compute the rows that do not depend on the generator."""
    trained = _measure_data(spec, train, _spaced_indices(train, evaluation_size(MAX_TRAIN_WINDOWS)))
    references = ReferenceRows({}, {}, trained.features, trained.lines)
    indices = _spaced_indices(heldout, evaluation_size(MAX_TRAIN_WINDOWS))
    real = _row(spec, _measure_data(spec, heldout, indices), references)
    if spec.grid.bars > 1:
        at_most = MAX_CELLS // (spec.grid.steps * total_channels(spec.voices))
        some = _spaced_indices(heldout, min(evaluation_size(MAX_TRAIN_WINDOWS), at_most))
        real.row.update(boundary_metrics(spec, _windows(heldout, some)))
    train_row = _row(spec, trained, references).row
    train_row.pop("nn_train_distance")  # its windows are among the references: 0
    rows = {"real (train)": train_row, ROW_HELD_OUT: real.row}
    rows |= _baseline_rows(spec, train, references)
    intervals = _intervals(spec, real, references, _groups(heldout, indices), ROW_HELD_OUT)
    return references._replace(rows=rows, intervals=intervals)


def _baseline_rows(
    spec: MusicSpec, train: Dataset, references: ReferenceRows
) -> dict[str, dict[str, float]]:
    """Compute the rows of the baselines: of lines, or of cells where these are compared."""
    features, rows = feature_set(spec), {}
    if features.compares_lines:
        lines = references.train.long()
        for name, line_baseline in BASELINES.items():
            if name == "bars shuffled" and spec.grid.bars == 1:
                continue
            rng = keyed_rng(0, "music imitation", name)
            windows = line_baseline(
                lines, min(evaluation_size(SAMPLED), len(lines)), rng, spec.grid
            )
            measured = Measured(features.measure_lines(windows), windows, {})
            rows[name] = _row(spec, measured, references).row
        return rows
    rolls = _read_rolls(spec, train, _spaced_indices(train, evaluation_size(SAMPLED)))
    for name, baseline in cell_baselines(spec.voices, spec.grid).items():
        made = baseline(rolls, spec.grid, keyed_rng(0, "music imitation", name))
        found = features.measure(made)
        rows[name] = {"windows": float(len(found)), **features.summary(found, references.features)}
    return rows


def _measure(spec: MusicSpec, x: Tensor) -> Measured:
    """Measure canonical windows (N, T, C)."""
    features, parts = feature_set(spec), []
    for part in x.split(CHUNK):
        lines = voice_lines(part, spec.voices)
        found = features.measure(voice_rolls(part, spec.voices), lines)
        drums = drum_figures(part, spec.voices, spec.grid)
        parts.append(Measured(found, lines.short(), drums))
    return _joined(parts)


def _measure_data(spec: MusicSpec, data: Dataset, indices: Tensor) -> Measured:
    """Measure the windows at `indices`, a few at a time."""
    return _joined([_measure(spec, _windows(data, some)) for some in indices.split(CHUNK)])


def _joined(parts: Sequence[Measured]) -> Measured:
    """Join what was measured of several sets of windows."""
    features, lines, drums = zip(*parts, strict=True)
    joined = {name: torch.cat([found[name] for found in drums]) for name in drums[0]}
    return Measured(torch.cat(features), torch.cat(lines), joined)


def _read_rolls(spec: MusicSpec, data: Dataset, indices: Tensor) -> list[CellRoll]:
    """Read the cells of each pitched voice of the windows at `indices`."""
    return concatenate(
        [voice_rolls(_windows(data, some), spec.voices) for some in indices.split(CHUNK)]
    )


def _row(spec: MusicSpec, measured: Measured, references: ReferenceRows) -> MetricRow:
    """Compute all metrics of measured windows."""
    features, lines = feature_set(spec), measured.lines.long()
    some = lines[torch.linspace(0, len(lines) - 1, min(COMPARED, len(lines))).long()]
    row = {
        "windows": float(len(lines)),
        **features.summary(measured.features, references.features),
    }
    melody = melody_line(spec)
    if features.compares_lines and melody is not None:
        row["dissonance_rate_to_melody"] = float(dissonance_rate_to(lines, melody).mean())
    row |= {name: float(values.nanmean()) for name, values in measured.drums.items()}
    row["unique_fraction"] = len(lines.unique(dim=0)) / len(lines)
    distances = note_statistics.nn_train_distance(some, references.train)
    row["nn_train_distance"] = float(distances.median())
    return MetricRow(row, measured.features)


def _intervals(
    spec: MusicSpec, row: MetricRow, references: ReferenceRows, groups: Tensor, stream: str
) -> dict[str, Interval]:
    """Compute the bootstrap intervals of a row."""
    features, reference = feature_set(spec), references.features
    kept, compared = features.kept(reference), features.compared_of(reference)
    return bootstrap_intervals(
        features.select(row.features, kept),
        features.select(reference, kept),
        groups,
        keyed_rng(0, "music intervals", stream),
        kept,
        compared,
    )


def _spaced_indices(data: Dataset, at_most: int) -> Tensor:
    """Return evenly spaced indices (N,) of a data set."""
    return torch.linspace(0, len(data) - 1, min(at_most, len(data))).long()


def _windows(data: Dataset, indices: Tensor) -> Tensor:
    """Return the windows (N, T, C) at `indices`, untransposed and unconditioned."""
    return data.batch(indices).x.cpu()


def _groups(data: Dataset, indices: Tensor) -> Tensor:
    """Return the piece of each window, (N,), counted from 0."""
    return data.pieces[indices].unique(return_inverse=True)[1]  # type: ignore[attr-defined]


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


def _notes(spec: MusicSpec, references: ReferenceRows) -> tuple[str, ...]:
    """Explain the rows and columns of the table."""
    features = feature_set(spec)
    compared = features.compared_of(references.features)
    left_out = features.constant(references.features)
    of_layout = LINE_NOTES if features.compares_lines else CELL_NOTES
    return (
        f"no metric is better for being higher: the goal is the row {ROW_HELD_OUT}; "
        f"feature_frechet_distance is between {len(compared)} standardized features of a row and "
        f"of {len(references.train):,} training windows, feature_frechet_distance_clipped with "
        f"those beyond {note_statistics.CLIP:g} sd set to that; both are biased upward, by about "
        f".05 at 1,000 windows of two bars; compared: {', '.join(compared)}",
        *([f"left out, for they do not vary here: {', '.join(left_out)}"] if left_out else []),
        *of_layout,
        *NOTES,
    )


LINE_NOTES = (
    "bars shuffled: each bar from another training window; voices shuffled: each line from another "
    "one; Markov: each line an independent chain of steps; random quarters: uniform pitches in the "
    "range of the line",
    "a note of the compared features begins where the pitch of a line changes; repeated_note_rate "
    "sees repeated notes",
)
CELL_NOTES = (
    "bars shuffled: each bar from another training window; voices shuffled: each voice but the "
    "first from another one; hands shuffled: the pitches below middle C from another one; "
    "independent cells: each pitch begins and goes on with its share of all steps",
)
NOTES = (
    "same_cells_rate_1 and _4: the onsets that a bar and the bar 1 or 4 before share, of those of "
    "either; chroma_similarity: the cosine of their pitch classes; semitone_clash_rate: of the "
    "pairs of pitches that sound together; melody_*: the highest monophonic voice against all "
    "others; related_halves_rate: both halves in one key or in neighboring ones; "
    "stable_ending_rate: the last pitch classes lie in one triad",
    "in brackets: 95 % bootstrap intervals; of real and conditioned windows whole pieces are "
    "resampled, of continued ones whole songs, of unconditional ones single windows",
    "given: the highest monophonic voice of held-out windows is observed, the others are "
    f"generated; compare its figures of the melody with the rows {ROW_HELD_OUT} and voices "
    "shuffled; conditioning_exact_rate: windows in which all observed cells come back exactly; "
    "melody_sensitivity: the fraction of steps of the other lines that another melody changes "
    "under the same latent",
    "continued: later windows of long songs, each half conditioned on the one before; "
    "boundary_*: on the steps before and after the window boundary, or after that bar line of "
    "real windows",
    "unique_fraction: the fraction of distinct windows; nn_train_distance: the median fraction "
    f"of cells in which {COMPARED} windows differ from the nearest training window in any key; "
    "0 is a copy",
)
