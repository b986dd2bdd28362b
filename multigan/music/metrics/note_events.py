"""Notes in windows of voices: their onsets, lengths and bars.

A window (T, K) holds one MIDI pitch per step and voice, or -1 for a rest. It does not say
whether an equal pitch is held or repeated, so a note begins where the pitch changes, after a
rest, and on the first step: repeated notes count as one.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from multigan.music.theory import MIDI_PITCHES, OCTAVE, REST


def validate_windows(windows: ArrayLike, least_voices: int = 1) -> Tensor:
    """The windows as an int64 tensor (N, T, K), whatever array or tensor of numbers they were.

    Raises ValueError for another number of axes, no step, fewer than `least_voices` voices, or a
    value that is no whole number from -1 (rest) to 127.
    """
    x = torch.as_tensor(windows)
    if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] < least_voices:
        raise ValueError(
            f"windows must be (windows, steps, voices) with 1 step and {least_voices} voices or "
            f"more; got {tuple(x.shape)}"
        )
    pitches = x.to(torch.int64)
    invalid = (pitches.to(x.dtype) != x) | (pitches < REST) | (pitches >= MIDI_PITCHES)
    if invalid.any():
        raise ValueError(
            f"a pitch must be a whole number, {REST} (rest) to {MIDI_PITCHES - 1}; got "
            f"{x[invalid][0].item()}"
        )
    return pitches


def group_by_unit(x: Tensor, steps: int, unit: str) -> Tensor:
    """(N, T, ...) -> (N, T / steps, steps, ...): the steps of each bar or beat stand together.

    Raises ValueError, naming the `unit`, if T is no multiple of `steps`.
    """
    if steps < 1 or x.shape[1] % steps:
        raise ValueError(
            f"windows of {x.shape[1]} steps hold no whole number of {unit}s of {steps} steps"
        )
    return x.unflatten(1, (-1, steps))  # (N, units, steps, ...)


def onsets(x: Tensor) -> Tensor:
    """Onsets of notes (N, T, K), bool, in windows (N, T, K)."""
    before = torch.nn.functional.pad(x[:, :-1], (0, 0, 1, 0), value=REST)
    return (x != before) & (x > REST)


def note_lengths(x: Tensor) -> Tensor:
    """The length (N, T, K) in steps of the note that begins here, 0 where none does.

    A note lasts to the next onset of its voice or to the window's end: a rest after it counts.
    """
    begins, steps = onsets(x), x.shape[1]
    begin = torch.where(begins, torch.arange(steps, device=x.device)[:, None], steps)  # (N, T, K)
    this_or_next = begin.flip(1).cummin(1).values.flip(1)
    following = torch.nn.functional.pad(this_or_next[:, 1:], (0, 0, 0, 1), value=steps)
    return torch.where(begins, following - begin, 0)


def pitch_classes(x: Tensor) -> Tensor:
    """The sounding pitch class of windows (N, T, K) as a one-hot (N, T, K, 12), bool."""
    classes = torch.arange(OCTAVE, device=x.device)
    return (x[..., None] % OCTAVE == classes) & (x > REST)[..., None]


def onset_histogram(x: Tensor) -> Tensor:
    """Number of notes of each pitch class that begin in windows (N, T, K): (N, 12), float64."""
    return (pitch_classes(x) & onsets(x)[..., None]).sum((1, 2)).double()


def piano_roll(windows: ArrayLike) -> Tensor:
    """Pitches that sound in any voice of windows (N, T, K): (N, T, 128), bool.

    Raises ValueError as `validate_windows` does.
    """
    x = validate_windows(windows)
    roll = torch.zeros(*x.shape[:2], 1 + MIDI_PITCHES, dtype=torch.bool, device=x.device)
    return roll.scatter(2, x - REST, True)[..., 1:]  # (N, T, 128); column 0 was the rests
