"""Any layout of voices as lines of single pitches, which is what the metrics measure.

A monophonic voice is one line, a polyphonic one two: its highest and its lowest pitch. Drums have
none. Lines are ordered from high voices to low ones, as the metrics expect them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from multigan.music.metrics import note_statistics
from multigan.music.representations.pianoroll import active_pitches
from multigan.music.representations.tensors import active_cells, slices
from multigan.music.representations.time_grid import TimeGrid
from multigan.music.representations.voices import Voice
from multigan.music.theory import REST

CHUNK = 500  # windows that are read together


def line_names(voices: Sequence[Voice]) -> list[str]:
    """The names of the L lines."""
    return [name for voice in _ordered(voices) for name in _names(voice)]


def voice_lines(x: Tensor, voices: Sequence[Voice]) -> Tensor:
    """The lines (N, T, L), int64, of canonical windows (N, T, C): MIDI pitches, REST in silence."""
    return torch.cat([_lines(chunk, voices) for chunk in x.split(CHUNK)])


def drum_figures(x: Tensor, voices: Sequence[Voice], grid: TimeGrid) -> dict[str, Tensor]:
    """Figures (N,) of the drums of canonical windows (N, T, C).

    The strokes per bar, and DP8 on a grid that has eighths.
    """
    figures: dict[str, Tensor] = {}
    for voice, block in zip(voices, slices(voices), strict=True):
        if voice.kind != "drums":
            continue
        strokes = x[..., block]
        per_bar = strokes.sum((1, 2)).double() * (grid.bar_steps / strokes.shape[1])
        figures[f"{voice.name}_strokes_per_bar"] = per_bar
        if grid.quarter_steps % 2 == 0 and strokes.shape[1] % grid.eighth_steps == 0:
            pattern = note_statistics.drum_in_pattern_rate_8th(strokes, grid.eighth_steps)
            figures[f"{voice.name}_pattern_8th"] = pattern
    return figures


def _ordered(voices: Sequence[Voice]) -> list[Voice]:
    """The pitched voices, the highest first."""
    pitched = [voice for voice in voices if voice.kind != "drums"]
    return sorted(pitched, key=lambda voice: -voice.min_pitch)


def _names(voice: Voice) -> list[str]:
    """The names of the lines of one voice."""
    poly = voice.kind == "polyphonic"
    return [f"{voice.name}_top", f"{voice.name}_bottom"] if poly else [voice.name]


def _lines(x: Tensor, voices: Sequence[Voice]) -> Tensor:
    """The lines (N, T, L) of a few windows."""
    blocks = {voice.name: x[..., own] for voice, own in zip(voices, slices(voices), strict=True)}
    found = []
    for voice in _ordered(voices):
        if voice.kind == "monophonic":
            found.append(_tokens_line(blocks[voice.name], voice))
        else:
            found += _outer_lines(blocks[voice.name], voice)
    return torch.stack(found, dim=-1)


def _tokens_line(block: Tensor, voice: Voice) -> Tensor:
    """The line (N, T) of a monophonic voice (N, T, P + 2)."""
    return torch.from_numpy(active_pitches(block.argmax(-1), voice)).long()


def _outer_lines(block: Tensor, voice: Voice) -> tuple[Tensor, Tensor]:
    """The highest and the lowest line, (N, T) each, of a polyphonic voice (N, T, 2 P)."""
    active = active_cells(block, (voice,))[0] > 0  # (N, T, P)
    silent = ~active.any(-1)
    top = voice.num_pitches - 1 - active.flip(-1).int().argmax(-1)  # the first of equals is found
    bottom = active.int().argmax(-1)
    return (
        torch.where(silent, REST, top + voice.min_pitch),
        torch.where(silent, REST, bottom + voice.min_pitch),
    )
