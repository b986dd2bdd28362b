"""The table of a music model: real windows, poor imitations of them, and what it writes itself.

Everything is measured on lines: the pitch of each single voice at each step, and the highest and
the lowest pitch of each polyphonic one. What does not depend on the model is kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
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
from multigan.music.metrics.harmony import dissonance_with
from multigan.music.metrics.voice_lines import line_names, track_metrics, voice_lines
from multigan.music.metrics.window_boundaries import SEAMS, boundary_metrics, sample_continuations
from multigan.music.representations.conditioning import (
    Conditioning,
    apply_conditioning,
    unconditional,
)
from multigan.music.representations.tensors import binarize

if TYPE_CHECKING:
    from multigan.music.domain import MusicDomain

SAMPLED = 1000  # windows in the rows of the model and of the imitations
MAX_TRAIN_WINDOWS = 4000  # real windows of a split that are measured, at most
COMPARED = 64  # windows of a row that are held against the remembered training windows
DRAWN_TOGETHER = 64  # windows per forward pass
VERSION = 2  # raise it when a row would come out otherwise: caches go by it
HELD_OUT = "real (held out)"


class ReferenceRows(NamedTuple):
    """What every model of one data set is held against."""

    rows: dict[str, dict[str, float]]
    intervals: dict[str, Interval]  # of the row HELD_OUT
    features: Tensor  # (M, 13) float64, of training windows
    train: Tensor  # (M, T, L) int16: the lines of these windows


class MetricRow(NamedTuple):
    """The figures of one row, and those of each of its windows."""

    row: dict[str, float]
    found: Tensor  # (N, 13) float64


def evaluate(
    domain: MusicDomain, generator: Generator, data: Dataset, rng: torch.Generator, cache: Path
) -> ResultsTable:
    """Measure real windows, imitations and `generator` against the training windows.

    Raises Unmeasurable for fewer than two lines, and ValueError for a generator that draws what is
    not finite.
    """
    if len(line_names(domain.voices)) < 2:
        raise EvaluationSkipped("one voice alone: the metrics measure two or more together")
    known = references(domain, data, cache)
    rows, ends = dict(known.rows), {HELD_OUT: known.intervals}
    for name, measured, groups in _model_rows(domain, generator, data, rng, known):
        rows[name] = measured.row
        ends[name] = bootstrap_intervals(measured.found, known.features, groups, _resampling(name))
    return ResultsTable(rows, _notes(known), ends)


def _model_rows(
    domain: MusicDomain,
    generator: Generator,
    data: Dataset,
    rng: torch.Generator,
    known: ReferenceRows,
) -> Iterator[tuple[str, MetricRow, Tensor]]:
    """Each row of the model by name, and to which group each of its windows belongs (N,)."""
    melody = melody_voice(domain)
    if melody is not None:
        places = _places(data, SAMPLED)
        given = melody_conditioning(domain, _windows(data, places))
        row = _measured(domain, sample_windows(domain, generator, given, rng), known)
        row.row.update(conditioning_metrics(domain, generator, given, rng.clone_state()))
        yield f"this model, {domain.voices[melody].name} given", row, _groups(data, places)
    free = unconditional(SAMPLED, domain.frame.steps, domain.voices)
    whole = _measured(domain, sample_windows(domain, generator, free, rng), known)
    if domain.frame.bars > 1:
        x = sample_continuations(domain, generator, rng)
        row = _measured(domain, x, known)
        row.row.update(boundary_metrics(domain, x))
        yield "this model, continued", row, torch.arange(len(x)) // SEAMS
    yield "this model", whole, torch.arange(SAMPLED)


def sample_windows(
    domain: MusicDomain, generator: Generator, given: Conditioning, rng: torch.Generator
) -> Tensor:
    """Canonical windows (N, T, C) of a generator, one for each given one.

    Raises ValueError for values that are not finite.
    """
    drawn = []
    parts = zip(given.known.split(DRAWN_TOGETHER), given.mask.split(DRAWN_TOGETHER), strict=True)
    for known, mask in parts:
        seen = Conditioning(known, mask)
        x = apply_conditioning(sample_batch(generator, len(known), rng, seen), seen, domain.voices)
        if not x.isfinite().all():
            raise ValueError(
                "the generator draws values that are not finite; its training diverged"
            )
        drawn.append(binarize(x, domain.voices))
    return torch.cat(drawn)


def references(domain: MusicDomain, data: Dataset, cache: Path) -> ReferenceRows:
    """The rows of real windows and imitations, from the cache or measured and kept there."""
    train = data.split("train")
    stated = f"{VERSION} {domain} {train.fingerprint} {data.fingerprint}"
    key = hashlib.blake2b(stated.encode(), digest_size=8).hexdigest()
    file = cache / f"music-references-{key}.safetensors"
    try:
        return _load(file)
    except (OSError, ValueError, LookupError, SafetensorError):  # not there yet, or damaged
        found = _measure_references(domain, train, data)
        _save(found, file)
        return found


def _measure_references(domain: MusicDomain, train: Dataset, held: Dataset) -> ReferenceRows:
    """The rows that do not depend on the model."""
    known = _remembered(domain, train)
    places = _places(held, MAX_TRAIN_WINDOWS)
    x = _windows(held, places)
    real = _measured(domain, x, known)
    if domain.frame.bars > 1:
        real.row.update(boundary_metrics(domain, x))
    remembered = _measured(domain, _windows(train, _places(train, MAX_TRAIN_WINDOWS)), known)
    remembered.row.pop("nearest_train")  # they are among the remembered ones: 0
    rows = {"real (train)": remembered.row, HELD_OUT: real.row}
    lines = known.train.long()
    for name, imitate in BASELINES.items():
        rng = keyed_rng(0, "music imitation", name)
        windows = imitate(lines, min(SAMPLED, len(lines)), rng, domain.grid)
        rows[name] = _figures(domain, windows, known).row
    ends = bootstrap_intervals(
        real.found, known.features, _groups(held, places), _resampling(HELD_OUT)
    )
    return known._replace(rows=rows, intervals=ends)


def _remembered(domain: MusicDomain, train: Dataset) -> ReferenceRows:
    """Training windows, without any row yet."""
    lines = voice_lines(_windows(train, _places(train, MAX_TRAIN_WINDOWS)), domain.voices)
    return ReferenceRows({}, {}, note_statistics.features(lines, domain.grid), lines.short())


def _measured(domain: MusicDomain, x: Tensor, known: ReferenceRows) -> MetricRow:
    """Every figure of canonical windows (N, T, C)."""
    row, found = _figures(domain, voice_lines(x, domain.voices), known)
    return MetricRow(row | track_metrics(x, domain.voices, domain.grid), found)


def _figures(domain: MusicDomain, lines: Tensor, known: ReferenceRows) -> MetricRow:
    """Every figure of lines (N, T, L)."""
    found = note_statistics.features(lines, domain.grid)
    empty = note_statistics.empty_bars(lines, domain.grid.bar_steps).mean(0).tolist()
    chosen = lines[torch.linspace(0, len(lines) - 1, min(COMPARED, len(lines))).long()]
    melody = melody_line(domain)
    to_melody = {} if melody is None else {"dissonance_to_melody": dissonance_with(lines, melody)}
    row = {
        "windows": float(len(lines)),
        **note_statistics.aggregate_metrics(found, known.features),
        **{name: float(figure.mean()) for name, figure in to_melody.items()},
        **dict(zip((f"empty_bars_{n}" for n in line_names(domain.voices)), empty, strict=True)),
        "distinct": len(lines.unique(dim=0)) / len(lines),
        "nearest_train": float(note_statistics.nn_train_distance(chosen, known.train).median()),
    }
    return MetricRow(row, found)


def _places(data: Dataset, at_most: int) -> Tensor:
    """Places (N,) from all over a set."""
    return torch.linspace(0, len(data) - 1, min(at_most, len(data))).long()


def _windows(data: Dataset, places: Tensor) -> Tensor:
    """The windows (N, T, C) there, in their own key and with nothing given."""
    return data.batch(places).x.cpu()


def _groups(data: Dataset, places: Tensor) -> Tensor:
    """From which piece each window there is: (N,), counted from 0."""
    return data.pieces[places].unique(return_inverse=True)[1]  # type: ignore[attr-defined]


def _resampling(row: str) -> torch.Generator:
    return keyed_rng(0, "music intervals", row)


def _save(found: ReferenceRows, file: Path) -> None:
    """Write a safetensors file, whole or not at all."""
    rows = {name: finite_or_none(row) for name, row in found.rows.items()}
    tensors = {"features": found.features, "train": found.train}
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        said = {"rows": json.dumps(rows), "intervals": json.dumps(found.intervals)}
        save_file(tensors, temporary, said)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _load(file: Path) -> ReferenceRows:
    """What `_save` wrote; figures that were not finite are NaN."""
    with safe_open(file, "pt") as tensors:
        read, ends = (json.loads(tensors.metadata()[key]) for key in ("rows", "intervals"))
        features, train = tensors.get_tensor("features"), tensors.get_tensor("train")
    rows = {
        name: {metric: float("nan") if v is None else v for metric, v in row.items()}
        for name, row in read.items()
    }
    return ReferenceRows(rows, {name: tuple(pair) for name, pair in ends.items()}, features, train)


def _notes(known: ReferenceRows) -> tuple[str, ...]:
    """What the rows and columns of the table are."""
    return (
        f"no figure is better for being higher: the goal is the row {HELD_OUT}; frechet is between "
        f"13 standardised figures of a row and of {len(known.train):,} training windows, "
        f"frechet_clipped with those beyond {note_statistics.CLIP:g} sd set to that; both are "
        "biased upward, by about .05 at 1,000 windows",
        "in brackets: 95 % bootstrap intervals; of real and given windows whole pieces are drawn "
        "again, of continued ones whole drawn pieces, of the model's own ones single windows",
        "voices shuffled: each line from another training window; Markov: each line a chain of "
        "steps of its own; random quarters: uniform pitches in the range of the line",
        "given: the highest single voice of held-out windows is known, the others are written to "
        f"it; compare dissonance_to_melody with the rows {HELD_OUT} and voices shuffled; "
        "given_exact: windows in which all given cells come back bit by bit; changed_by_melody: "
        "the share of steps of the other lines that another melody changes under the same latent",
        "continued: later windows of long pieces, each half known from the one before; seam_*: on "
        "the steps before and after the seam, or after that bar line of real windows",
        "a note begins where the pitch of a line changes; repeated_notes, the share of notes that "
        "strike the pitch already sounding, is not seen by the others",
        f"distinct: the share of different windows; nearest_train: the median share of cells in "
        f"which {COMPARED} windows differ from the nearest training window in any key; 0 is a copy",
    )
