"""Metrics of music: thirteen figures per window, their Frechet distance, novelty.

Windows are arrays (N, T, K): MIDI pitches per step and voice, highest voice first, -1 for a rest;
steps are sixteenths of 4/4 unless a function takes another grid. All functions raise ValueError as
`validate_windows` does, and where bars count, if a window holds no whole number of bars. A metric
returns one figure per window (N,), float64; NaN where a window has nothing to measure, which means
leave out. No figure is better for being higher or lower: the goal is the row of held-out music, and
random quarter notes reach a groove of 1. Silence counts as perfect in some columns, so
`window_metrics` also reports the empty bars of each voice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from multigan.core import fidelity
from multigan.music.metrics.harmony import (
    dissonance_rate,
    parallel_motion_rate,
    scale_masks,
    tonal_distance,
    voice_crossing_rate,
)
from multigan.music.metrics.note_events import (
    group_by_unit,
    note_lengths,
    onset_histogram,
    onsets,
    pitch_classes,
    validate_windows,
)
from multigan.music.representations.time_grid import (
    SIXTEENTHS,
    SIXTEENTHS_PER_QUARTER,
    STEPS_PER_BAR,
    TimeGrid,
)
from multigan.music.theory import REST

QUALIFIED_STEPS = 2  # a note of an eighth or longer
CLIP = 5.0  # standard deviations: bounds the say of a few extreme windows
LEAST_SPREAD = 1e-6  # standard deviation in the reference: what varies less is left out
TRANSPOSITIONS = range(-5, 7)  # semitones: every key once
NEAREST_CHUNK = 64  # windows that are held against the training windows together
DRUM_MASK_24 = (
    1.0,
    0.3,
    0.0,
    0.0,
    0.0,
    0.3,
)  # 24 steps per beat: 16ths, and steps next to them


def n_pitch_classes_used(
    windows: ArrayLike, steps_per_bar: int = STEPS_PER_BAR, skip_empty: bool = False
) -> Tensor:
    """The number of distinct pitch classes of a voice in a bar, 0 to 12, over voices and bars.

    An empty bar of a voice counts as 0 (the chorale table), or not at all if `skip_empty` (the
    MuseGAN convention, NaN if every one is empty).
    """
    used = (
        _used(pitch_classes(validate_windows(windows)), steps_per_bar).sum(-1).double()
    )  # (N, bars, K)
    return used.where((used > 0) | (not skip_empty), math.nan).nanmean((1, 2))


def n_pitch_classes_used_joint(windows: ArrayLike, steps_per_bar: int = STEPS_PER_BAR) -> Tensor:
    """The number of distinct pitch classes of all voices in a bar, 0 to 12, over bars."""
    used = _used(pitch_classes(validate_windows(windows)), steps_per_bar).any(2)  # (N, bars, 12)
    return used.sum(-1).double().mean(1)


def pitch_class_entropy(windows: ArrayLike) -> Tensor:
    """The entropy in bits, 0 to 3.585, of the pitch classes of the notes; NaN without a note."""
    counts = onset_histogram(validate_windows(windows))
    shares = counts / counts.sum(1, keepdim=True)
    return torch.special.entr(shares).sum(1) / math.log(2)


def scale_consistency(windows: ArrayLike) -> Tensor:
    """The largest share of notes that lie in one major or natural-minor scale; NaN without a note.

    In [0, 1], and 7/12 if all twelve pitch classes begin equally many notes.
    Source: Mogren 2016, arXiv:1611.09904.
    """
    counts = onset_histogram(validate_windows(windows))
    inside = counts @ scale_masks().T.to(counts.device)  # (N, 24)
    return inside.amax(1) / counts.sum(1)


def groove_consistency(windows: ArrayLike, steps_per_bar: int = STEPS_PER_BAR) -> Tensor:
    """The share of steps at which neighboring bars agree that some voice has an onset, or none.

    In [0, 1]; 1 for equal bars and for silent ones; NaN for a single bar.
    Source: Wu and Yang 2020, arXiv:2008.01307 (there between any two bars).
    """
    begins = onsets(validate_windows(windows)).any(2)
    bars = group_by_unit(begins, steps_per_bar, "bar")  # (N, bars, steps)
    return 1 - (bars[:, 1:] != bars[:, :-1]).double().mean((1, 2))


def qualified_note_rate(windows: ArrayLike, least_steps: int = QUALIFIED_STEPS) -> Tensor:
    """The share of notes that last `least_steps` or more, in [0, 1]; NaN without a note.

    A note may cross a bar line, and a rest after it counts to it.
    """
    lengths = note_lengths(validate_windows(windows))
    return (lengths >= least_steps).sum((1, 2)).double() / (lengths > 0).sum((1, 2))


def notes_per_bar(windows: ArrayLike, steps_per_bar: int = STEPS_PER_BAR) -> Tensor:
    """The number of notes of all voices that begin in a bar."""
    begins = group_by_unit(
        onsets(validate_windows(windows)), steps_per_bar, "bar"
    )  # (N, bars, steps, K)
    return begins.sum((2, 3)).double().mean(1)


def mean_note_length(windows: ArrayLike, steps_per_quarter: int = SIXTEENTHS_PER_QUARTER) -> Tensor:
    """The mean length of a note in sixteenths, the rest after it included; NaN without a note."""
    lengths = note_lengths(validate_windows(windows))
    steps = lengths.sum((1, 2)).double() / (lengths > 0).sum((1, 2))
    return steps * (SIXTEENTHS_PER_QUARTER / steps_per_quarter)


def mean_abs_interval(windows: ArrayLike) -> Tensor:
    """The mean absolute interval in semitones from a note to the next of its voice.

    Across rests; pooled over voices; 0 if no voice has two notes.
    """
    x = validate_windows(windows)
    begins = onsets(x)
    step = torch.arange(x.shape[1], device=x.device)[:, None]
    latest = torch.where(begins, step, -1).cummax(1).values[:, :-1]  # (N, T - 1, K) last onset
    moves = begins[:, 1:] & (latest >= 0)
    intervals = (x[:, 1:] - x.gather(1, latest.clamp(min=0))).abs()
    return (intervals * moves).sum((1, 2)).double() / moves.sum((1, 2)).clamp(min=1)


def empty_bar_rate(windows: ArrayLike, steps_per_bar: int = STEPS_PER_BAR) -> Tensor:
    """The share of each voice's bars in which it is silent throughout: (N, K), float64."""
    silent = group_by_unit(validate_windows(windows) == REST, steps_per_bar, "bar").all(
        2
    )  # (N, bars, K)
    return silent.double().mean(1)


def polyphony_rate(roll: ArrayLike, least_pitches: int) -> Tensor:
    """The share of steps of a piano-roll (N, T, P) at which `least_pitches` or more sound.

    What is not 0 sounds. For the mix of several voices take `windows.piano_roll`, which counts a
    unison once.
    """
    return (_cells(roll).sum(2) >= least_pitches).double().mean(1)


def mean_pitches(roll: ArrayLike) -> Tensor:
    """The mean number of pitches per step of a piano-roll (N, T, P)."""
    return _cells(roll).sum(2).double().mean(1)


def drum_in_pattern_rate(drum_onsets: ArrayLike, mask: Sequence[float] = DRUM_MASK_24) -> Tensor:
    """DP: the share of drum onsets that fall on a regular grid, in [0, 1]; NaN without an onset.

    Onsets (N, T, D), what is not 0 being one, are weighted by `mask`, repeated over the window and
    shifted to where it fits best. The default is meant for 24 steps per beat (pass single bars for
    the published figure); on sixteenths it is always 1: use `drum_pattern_8th`.
    Source: Dong et al. 2018, arXiv:1709.06298, and its published code.
    """
    counts = group_by_unit(_cells(drum_onsets).sum(2), len(mask), "drum mask").sum(1).double()
    weights = torch.tensor(mask, dtype=torch.float64, device=counts.device)
    shifted = torch.stack([weights.roll(shift) for shift in range(len(mask))])
    return (counts @ shifted.T).amax(1) / counts.sum(1)


def drum_in_pattern_rate_8th(drum_onsets: ArrayLike, eighth_steps: int = QUALIFIED_STEPS) -> Tensor:
    """DP8: `drum_pattern` of onsets (N, T, D) on the grid of eighths, each of so many steps."""
    return drum_in_pattern_rate(drum_onsets, (1.0,) + (0.0,) * (eighth_steps - 1))


def nn_train_distance(
    windows: ArrayLike, train: ArrayLike, transpositions: Iterable[int] = TRANSPOSITIONS
) -> Tensor:
    """The share of cells in which a window differs from the nearest training window, in any key.

    `windows` (N, T, K) and `train` (M, T, K); 0 is a copy. Two bars of unheard music still share
    about half of their cells with some training window: compare with a held-out row.

    Raises ValueError if `train` is empty or its windows have another shape.
    """
    x, known = validate_windows(windows), validate_windows(train)
    if not len(known) or known.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"training windows must be 1 or more of shape {tuple(x.shape[1:])}; got "
            f"{tuple(known.shape)}: cut both sets alike"
        )
    cells = known.flatten(1).float()
    nearest = torch.full((len(x),), math.inf, dtype=torch.float64, device=x.device)
    for shift in transpositions:
        moved = torch.where(x > REST, x + shift, REST).flatten(1).float()
        chunks = [torch.cdist(chunk, cells, p=0).amin(1) for chunk in moved.split(NEAREST_CHUNK)]
        nearest = nearest.minimum(torch.cat(chunks) / cells.shape[1])
    return nearest


def features(windows: ArrayLike, grid: TimeGrid = SIXTEENTHS) -> Tensor:
    """The figures (N, 13), float64, of every window in the order of FEATURES."""
    x = validate_windows(windows, least_voices=2)
    units = {name: UNITS[name](grid) for name in UNITS}
    return torch.stack([metric(x, *units.get(k, ())) for k, metric in FEATURES.items()], dim=1)


def feature_frechet_distance(
    reference: Tensor, generated: Tensor, clip: float | None = None
) -> float:
    """The Frechet distance between two sets of `features`, (R, 13) and (N, 13).

    Standardized by mean and population sd of the reference (all training windows, not a sample of
    them), and then clipped to +-`clip`, if given. A figure that no window of the reference has
    (the groove of single bars), or that does not vary there, is left out, and so are windows with a
    NaN; NaN if fewer than two of either set or no figure are left. It is biased upward by about .05
    at 1,000 windows and by .6 at 128: never compare rows of fewer than 1,000.
    """
    sets = standardized(reference, generated, clip)
    if min(map(len, sets)) < 2 or not sets[0].shape[1]:
        return math.nan
    return fidelity.frechet_distance(*sets)


def standardized(
    reference: Tensor, generated: Tensor, clip: float | None = None
) -> tuple[Tensor, Tensor]:
    """Both sets, (R', F') and (N', F'), as `frechet` compares them: what it leaves out is gone."""
    known = varying(reference)
    reference, generated = _defined(reference[:, known]), _defined(generated[:, known])
    center, spread = reference.mean(0), reference.std(0, correction=0)
    sets = [(rows - center) / spread for rows in (reference, generated)]
    if clip is not None:
        sets = [rows.clamp(-clip, clip) for rows in sets]
    return sets[0], sets[1]


def varying(reference: Tensor) -> Tensor:
    """The columns (F,) bool of features (R, F) with values that vary."""
    defined = ~reference.isnan()
    counts = defined.sum(0).clamp(min=1)
    centers = reference.nan_to_num(0.0).sum(0) / counts
    squares = (reference - centers).square().where(defined, 0.0).sum(0) / counts
    return squares.sqrt() > LEAST_SPREAD


def window_metrics(
    windows: ArrayLike, reference: Tensor, voices: Sequence[str], grid: TimeGrid = SIXTEENTHS
) -> dict[str, float]:
    """Every figure of windows (N, T, K) against the `features` (R, 13) of the reference.

    What `summary` says of their features, and the share of empty bars of each of the `voices` (K,).
    """
    empty = empty_bar_rate(windows, grid.bar_steps).mean(0).tolist()
    return {
        **aggregate_metrics(features(windows, grid), reference),
        **{f"empty_bar_rate_{voice}": e for voice, e in zip(voices, empty, strict=True)},
    }


def aggregate_metrics(found: Tensor, reference: Tensor) -> dict[str, float]:
    """Summary of `features` (N, 13) against those (R, 13) of the reference.

    The means of FEATURES over the windows that have them, NaN if none has; `frechet`, and
    `frechet_clipped` at CLIP; the share of windows left out of both.
    """
    undefined = found[:, varying(reference)].isnan().any(1)
    return {
        **dict(zip(FEATURES, found.nanmean(0).tolist(), strict=True)),
        "feature_frechet_distance": feature_frechet_distance(reference, found),
        "feature_frechet_distance_clipped": feature_frechet_distance(reference, found, CLIP),
        "excluded_fraction": float(undefined.double().mean()),
    }


def _used(classes: Tensor, steps_per_bar: int) -> Tensor:
    """Pitch classes (N, T, K, 12) that each voice uses in each bar: (N, bars, K, 12), bool."""
    return group_by_unit(classes, steps_per_bar, "bar").any(2)


def _cells(roll: ArrayLike) -> Tensor:
    """A roll (N, T, P) of any kind of number as booleans; ValueError for another shape."""
    cells = torch.as_tensor(roll) != 0
    if cells.ndim != 3 or not cells.shape[1]:
        raise ValueError(f"a roll must be (windows, steps, pitches); got {tuple(cells.shape)}")
    return cells


def _defined(found: Tensor) -> Tensor:
    """The rows without a NaN."""
    return found[~found.isnan().any(1)]


FEATURES: dict[str, Callable[..., Tensor]] = {
    "n_pitch_classes_used": n_pitch_classes_used,
    "n_pitch_classes_used_joint": n_pitch_classes_used_joint,
    "pitch_class_entropy": pitch_class_entropy,
    "scale_consistency": scale_consistency,
    "groove_consistency": groove_consistency,
    "qualified_note_rate": qualified_note_rate,
    "notes_per_bar": notes_per_bar,
    "mean_note_length": mean_note_length,
    "mean_abs_interval": mean_abs_interval,
    "tonal_distance": tonal_distance,
    "voice_crossing_rate": voice_crossing_rate,
    "dissonance_rate": dissonance_rate,
    "parallel_motion_rate": parallel_motion_rate,
}

# What a metric counts in, other than steps: its second argument on a grid.
UNITS: dict[str, Callable[[TimeGrid], tuple[int]]] = {
    "n_pitch_classes_used": lambda grid: (grid.bar_steps,),
    "n_pitch_classes_used_joint": lambda grid: (grid.bar_steps,),
    "groove_consistency": lambda grid: (grid.bar_steps,),
    "qualified_note_rate": lambda grid: (grid.eighth_steps,),
    "notes_per_bar": lambda grid: (grid.bar_steps,),
    "mean_note_length": lambda grid: (grid.quarter_steps,),
    "tonal_distance": lambda grid: (grid.beat_steps,),
    "parallel_motion_rate": lambda grid: (grid.beat_steps,),
}
