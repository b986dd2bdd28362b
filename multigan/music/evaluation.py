"""The table of a music model: real windows, poor imitations of them, and what it writes itself.

Everything is measured on lines: the pitch of each single voice at each step, and the highest and
the lowest pitch of each polyphonic one. What does not depend on the model is kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from multigan.contract import Data, Generator, Table, Unmeasurable, finite_or_none, sample_once
from multigan.music import metrics
from multigan.music.imitations import IMITATIONS
from multigan.music.lines import line_names, lines_of, own_figures
from multigan.music.tensors import Given, canonical, fill_in, give, nothing_given
from multigan.music.windows import STEPS_PER_BAR, STEPS_PER_BEAT
from multigan.rng import keyed_rng

if TYPE_CHECKING:
    from multigan.music.domain import MusicDomain

SAMPLED = 1000  # windows in the rows of the model and of the imitations
REMEMBERED = 4000  # real windows of a split that are measured, at most
COMPARED = 64  # windows of a row that are held against the remembered training windows
DRAWN_TOGETHER = 64  # windows per forward pass
VERSION = 1  # raise it when a row would come out otherwise: caches go by it


class References(NamedTuple):
    """What every model of one data set is held against."""

    rows: dict[str, dict[str, float]]
    features: Tensor  # (M, 13) float64, of training windows
    train: Tensor  # (M, T, L) int16: the lines of these windows


def evaluate(
    domain: MusicDomain, generator: Generator, data: Data, rng: torch.Generator, cache: Path
) -> Table:
    """Measure real windows, imitations and `generator` against the training windows.

    Raises Unmeasurable for fewer than two lines, for a grid other than sixteenths in bars of four
    quarters (the metrics are defined on it), or for a generator that draws what is not finite.
    """
    _check(domain)
    known = references(domain, data, cache)
    rows = dict(known.rows)
    melody = _melody(domain)
    if melody is not None:
        held = _windows(data, SAMPLED)
        mask = torch.zeros(*held.shape[:2], len(domain.voices))
        mask[..., melody] = 1
        given = give(held, mask, domain.voices)
        name = f"this model, {domain.voices[melody].name} given"
        rows[name] = _measured(domain, draw(domain, generator, given, rng), known)
    free = nothing_given(SAMPLED, domain.frame.steps, domain.voices)
    rows["this model"] = _measured(domain, draw(domain, generator, free, rng), known)
    return Table(rows, _notes(known))


def draw(domain: MusicDomain, generator: Generator, given: Given, rng: torch.Generator) -> Tensor:
    """Canonical windows (N, T, C) of a generator, one for each given one.

    Raises ValueError for values that are not finite.
    """
    drawn = []
    parts = zip(given.known.split(DRAWN_TOGETHER), given.mask.split(DRAWN_TOGETHER), strict=True)
    for known, mask in parts:
        seen = Given(known, mask)
        x = fill_in(sample_once(generator, len(known), rng, seen), seen, domain.voices)
        if not x.isfinite().all():
            raise ValueError(
                "the generator draws values that are not finite; its training diverged"
            )
        drawn.append(canonical(x, domain.voices))
    return torch.cat(drawn)


def references(domain: MusicDomain, data: Data, cache: Path) -> References:
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


def _measure_references(domain: MusicDomain, train: Data, held: Data) -> References:
    """The rows that do not depend on the model."""
    real = {
        "real (train)": _windows(train, REMEMBERED),
        "real (held out)": _windows(held, REMEMBERED),
    }
    lines = lines_of(real["real (train)"], domain.voices)
    known = References({}, metrics.features(lines), lines.short())
    rows = {name: _measured(domain, x, known) for name, x in real.items()}
    for name, imitate in IMITATIONS.items():
        windows = imitate(lines, min(SAMPLED, len(lines)), keyed_rng(0, "music imitation", name))
        rows[name] = _figures(domain, windows, known)
    rows["real (train)"].pop("nearest_train")  # they are among the remembered ones: 0
    return known._replace(rows=rows)


def _measured(domain: MusicDomain, x: Tensor, known: References) -> dict[str, float]:
    """Every figure of canonical windows (N, T, C)."""
    figures = _figures(domain, lines_of(x, domain.voices), known)
    return figures | own_figures(x, domain.voices)


def _figures(domain: MusicDomain, lines: Tensor, known: References) -> dict[str, float]:
    """Every figure of lines (N, T, L)."""
    chosen = lines[torch.linspace(0, len(lines) - 1, min(COMPARED, len(lines))).long()]
    return {
        "windows": float(len(lines)),
        **metrics.measure(lines, known.features, line_names(domain.voices)),
        "distinct": len(lines.unique(dim=0)) / len(lines),
        "nearest_train": float(metrics.novelty(chosen, known.train).median()),
    }


def _windows(data: Data, at_most: int) -> Tensor:
    """Windows (N, T, C) from all over a set, in their own key and with nothing given."""
    n = min(at_most, len(data))
    return data.batch(torch.linspace(0, len(data) - 1, n).long()).x.cpu()


def _melody(domain: MusicDomain) -> int | None:
    """The highest single voice, if it has company: the one that is given to be harmonised."""
    single = [k for k, voice in enumerate(domain.voices) if voice.kind == "monophonic"]
    if len(domain.voices) < 2 or not single:
        return None
    return max(single, key=lambda k: domain.voices[k].lowest)


def _check(domain: MusicDomain) -> None:
    if len(line_names(domain.voices)) < 2:
        raise Unmeasurable("one voice alone: the metrics measure two or more together")
    if (domain.frame.bar_steps, domain.steps_per_quarter) != (STEPS_PER_BAR, STEPS_PER_BEAT):
        raise Unmeasurable(
            f"{domain.metre} with {domain.steps_per_quarter} steps per quarter: the metrics are "
            f"defined on bars of {STEPS_PER_BAR} sixteenths"
        )


def _save(found: References, file: Path) -> None:
    """Write a safetensors file, whole or not at all."""
    rows = {name: finite_or_none(row) for name, row in found.rows.items()}
    tensors = {"features": found.features, "train": found.train}
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, {"rows": json.dumps(rows)})
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _load(file: Path) -> References:
    """What `_save` wrote; figures that were not finite are NaN."""
    with safe_open(file, "pt") as tensors:
        read = json.loads(tensors.metadata()["rows"])
        features, train = tensors.get_tensor("features"), tensors.get_tensor("train")
    rows = {
        name: {metric: float("nan") if v is None else v for metric, v in row.items()}
        for name, row in read.items()
    }
    return References(rows, features, train)


def _notes(known: References) -> tuple[str, ...]:
    """What the rows and columns of the table are."""
    return (
        f"no figure is better for being higher: the goal is the row real (held out); frechet is "
        f"between 13 standardised figures of a row and of {len(known.train):,} training windows, "
        f"frechet_clipped with those beyond {metrics.CLIP:g} sd set to that; both are biased "
        "upward, by about .05 at 1,000 windows",
        "voices shuffled: each line from another training window; Markov: each line a chain of "
        "sixteenths of its own; random quarters: uniform pitches in the range of the line",
        "given: the highest single voice of held-out windows is known, the others are written to "
        "it; compare its harmony with the rows real (held out) and voices shuffled",
        "a note begins where the pitch of a line changes; repeated_notes, the share of notes that "
        "strike the pitch already sounding, is not seen by the others",
        f"distinct: the share of different windows; nearest_train: the median share of cells in "
        f"which {COMPARED} windows differ from the nearest training window in any key; 0 is a copy",
    )
