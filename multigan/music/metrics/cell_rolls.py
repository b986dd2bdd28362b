"""Cells of pitched voices: at which steps each MIDI pitch begins and sounds. Drums are left out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.music.metrics.note_events import onsets
from multigan.music.representations.tensors import active_cells, onset_cells
from multigan.music.representations.voices import Voice
from multigan.music.theory import MIDI_PITCHES, OCTAVE, REST


class CellRoll(NamedTuple):
    """Pitches that begin and that sound, (N, T, 128) bool each; what begins sounds."""

    begins: Tensor
    sounds: Tensor

    def take(self, indices: Tensor) -> CellRoll:
        """Return the windows at `indices`."""
        return CellRoll(self.begins[indices], self.sounds[indices])


def pitched_voices(voices: Sequence[Voice]) -> list[Voice]:
    """Return the voices with a pitch, in order."""
    return [voice for voice in voices if voice.kind != "drums"]


def voice_rolls(x: Tensor, voices: Sequence[Voice]) -> list[CellRoll]:
    """Return the cells of each pitched voice of canonical windows (N, T, C)."""
    found = []
    cells = zip(voices, onset_cells(x, voices), active_cells(x, voices), strict=True)
    for voice, begins, sounds in cells:
        if voice.kind != "drums":
            around = (voice.min_pitch, MIDI_PITCHES - voice.min_pitch - voice.num_pitches)
            found.append(CellRoll(*(F.pad(part > 0, around) for part in (begins, sounds))))
    return found


def line_rolls(lines: Tensor) -> list[CellRoll]:
    """Return the cells of each line of windows (N, T, L) of pitches, REST in silence."""
    begins = onsets(lines)
    pitches = torch.arange(MIDI_PITCHES, device=lines.device)
    found = []
    for k in range(lines.shape[2]):
        sounds = (lines[..., k, None] == pitches) & (lines[..., k, None] > REST)
        found.append(CellRoll(sounds & begins[..., k, None], sounds))
    return found


def union(rolls: Sequence[CellRoll]) -> CellRoll:
    """Return the cells of all voices; a pitch begins that begins in one, held by others or not."""
    return reduce(lambda a, b: CellRoll(a.begins | b.begins, a.sounds | b.sounds), rolls)


def concatenate(parts: Sequence[Sequence[CellRoll]]) -> list[CellRoll]:
    """Return the voices of several sets of windows, one set after another."""
    return [
        CellRoll(*(torch.cat(planes) for planes in zip(*voice, strict=True)))
        for voice in zip(*parts, strict=True)
    ]


def fold(cells: Tensor) -> Tensor:
    """Count the cells (..., 128) of each pitch class: (..., 12), float64."""
    padded = F.pad(cells, (0, -MIDI_PITCHES % OCTAVE))
    return padded.unflatten(-1, (-1, OCTAVE)).sum(-2).double()
