"""Figures of windows of any layout, from the cells of a piano-roll.

Every figure takes a `CellRoll` of N windows and returns one value per window (N,), float64, NaN
where a window has nothing to measure. No figure is better for being higher or lower: the goal is
the row of held-out music.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.music.metrics.cell_rolls import CellRoll, fold
from multigan.music.metrics.harmony import scale_masks
from multigan.music.metrics.note_events import group_by_unit
from multigan.music.representations.time_grid import SIXTEENTHS_PER_QUARTER, TimeGrid
from multigan.music.theory import MIDI_PITCHES


def notes_per_bar(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Notes that begin in a bar."""
    return roll.begins.sum((1, 2)).double() * (grid.bar_steps / roll.begins.shape[1])


def polyphony(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Pitches that sound at a step, over the steps at which one sounds; NaN without a note.

    Source: Dong et al. 2020, arXiv:2008.01951 (muspy.polyphony).
    """
    counts = roll.sounds.sum(2).double()
    return counts.sum(1) / (counts > 0).sum(1)


def onset_steps_per_bar(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Steps of a bar at which a note begins."""
    steps = roll.begins.any(2)
    return steps.sum(1).double() * (grid.bar_steps / steps.shape[1])


def notes_per_onset_step(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Notes that begin together, over the steps at which one begins; NaN without a note."""
    return roll.begins.sum((1, 2)).double() / roll.begins.any(2).sum(1)


def pitch_range(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Semitones from the lowest to the highest pitch; NaN without a note.

    Source: Dong et al. 2020, arXiv:2008.01951 (muspy.pitch_range).
    """
    used = roll.begins.any(1).double()
    top = MIDI_PITCHES - 1 - used.flip(1).argmax(1)
    return (top - used.argmax(1)).double().where(used.any(1), math.nan)


def mean_pitch(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Mean MIDI pitch of the notes; NaN without a note."""
    pitches = torch.arange(MIDI_PITCHES, dtype=torch.float64, device=roll.begins.device)
    counts = roll.begins.sum(1).double()
    return counts @ pitches / counts.sum(1)


def sounding_length(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Mean length in sixteenths for which a note sounds, to the end of the window at most."""
    steps = roll.sounds.sum((1, 2)).double() / roll.begins.sum((1, 2))
    return steps * (SIXTEENTHS_PER_QUARTER / grid.quarter_steps)


def pitch_class_entropy(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Entropy in bits, 0 to 3.585, of the pitch classes of the notes; NaN without a note.

    Source: Wu and Yang 2020, arXiv:2008.01307 (muspy.pitch_class_entropy).
    """
    counts = fold(roll.begins.sum(1))
    return torch.special.entr(counts / counts.sum(1, keepdim=True)).sum(1) / math.log(2)


def scale_consistency(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Largest fraction of the notes that lie in one major or natural-minor scale.

    Source: Mogren 2016, arXiv:1611.09904 (muspy.scale_consistency).
    """
    counts = fold(roll.begins.sum(1))
    return (counts @ scale_masks().T.to(counts.device)).amax(1) / counts.sum(1)


def groove_consistency(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Fraction of steps at which neighboring bars agree that a note begins, or none.

    Source: Wu and Yang 2020, arXiv:2008.01307 (there between any two bars).
    """
    bars = group_by_unit(roll.begins.any(2), grid.bar_steps, "bar")
    return 1 - (bars[:, 1:] != bars[:, :-1]).double().mean((1, 2))


def semitone_clash_rate(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Fraction of the pairs that sound together whose pitch classes are one semitone apart.

    Pairs are of pitches at one step, pooled over the window; 0 without a pair.
    """
    classes = fold(roll.sounds)
    clashes = (classes * classes.roll(1, -1)).sum((1, 2))
    sounding = classes.sum(-1)
    pairs = (sounding * (sounding - 1) / 2).sum(1)
    return clashes / pairs.clamp(min=1)


def on_beat_rate(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Fraction of the notes that begin on a beat; NaN without a note."""
    counts = roll.begins.sum(2).double()
    return counts[:, :: grid.beat_steps].sum(1) / counts.sum(1)


def one_step_note_rate(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Fraction of the notes that last a single step; NaN without a note."""
    held = roll.sounds & ~roll.begins
    ends = ~F.pad(held[:, 1:], (0, 0, 0, 1))
    return (roll.begins & ends).sum((1, 2)).double() / roll.begins.sum((1, 2))


def repeated_note_rate(roll: CellRoll, grid: TimeGrid) -> Tensor:
    """Fraction of the notes whose pitch sounds at the step before; NaN without a note."""
    again = roll.begins[:, 1:] & roll.sounds[:, :-1]
    return again.sum((1, 2)).double() / roll.begins.sum((1, 2))


def same_cells_rate(roll: CellRoll, grid: TimeGrid, lag_bars: int) -> Tensor:
    """Jaccard index of the (onset, pitch) cells of a bar and of the bar `lag_bars` before.

    Mean over pairs of bars with a note in either; NaN without a pair.
    """
    bars = group_by_unit(roll.begins, grid.bar_steps, "bar").flatten(2)  # (N, bars, cells)
    later, earlier = bars[:, lag_bars:], bars[:, :-lag_bars]
    union = (later | earlier).sum(2).double()
    return ((later & earlier).sum(2) / union).nanmean(1)


def chroma_similarity(roll: CellRoll, grid: TimeGrid, lag_bars: int) -> Tensor:
    """Cosine of the sounding pitch classes of a bar and of the bar `lag_bars` before.

    Mean over pairs of bars that both sound; NaN without a pair.
    """
    bars = group_by_unit(fold(roll.sounds), grid.bar_steps, "bar").sum(2)  # (N, bars, 12)
    shares = bars / bars.norm(dim=-1, keepdim=True)  # NaN in a silent bar
    return (shares[:, lag_bars:] * shares[:, :-lag_bars]).sum(-1).nanmean(1)


def _at_lag(figure: Callable[..., Tensor], lag_bars: int) -> Callable[[CellRoll, TimeGrid], Tensor]:
    return lambda roll, grid: figure(roll, grid, lag_bars)


FIGURES: dict[str, Callable[[CellRoll, TimeGrid], Tensor]] = {
    "notes_per_bar": notes_per_bar,
    "polyphony": polyphony,
    "onset_steps_per_bar": onset_steps_per_bar,
    "notes_per_onset_step": notes_per_onset_step,
    "pitch_range": pitch_range,
    "mean_pitch": mean_pitch,
    "sounding_length": sounding_length,
    "pitch_class_entropy": pitch_class_entropy,
    "scale_consistency": scale_consistency,
    "groove_consistency": groove_consistency,
    "semitone_clash_rate": semitone_clash_rate,
    "on_beat_rate": on_beat_rate,
    "one_step_note_rate": one_step_note_rate,
    "repeated_note_rate": repeated_note_rate,
    "same_cells_rate_1": _at_lag(same_cells_rate, 1),
    "same_cells_rate_4": _at_lag(same_cells_rate, 4),
    "chroma_similarity_1": _at_lag(chroma_similarity, 1),
    "chroma_similarity_4": _at_lag(chroma_similarity, 4),
}
