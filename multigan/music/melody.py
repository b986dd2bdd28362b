"""Melody: what a voice sings next depends on what it sings now.

The notes of a voice are chosen step by step, each in the light of the one before it. Gradients need
no such loop: the note before is a hard choice, so it is found first, without a graph, and then all
steps are written at once (as text is, teacher-forced on its own sample).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 7.0  # semitones: before training a leap of so many costs half a unit of the logits


class Melody(nn.Module):
    """What an interval is worth to a monophonic voice: a number for each, added to the logits."""

    def __init__(self, pitches: int) -> None:
        super().__init__()
        interval = torch.arange(1 - pitches, pitches)  # (2 P - 1,): down to up
        self.worth = nn.Parameter(-((interval / STRIDE) ** 2) / 2)
        here, there = torch.arange(pitches)[:, None], torch.arange(pitches)
        self.register_buffer("interval", there - here + pitches - 1, persistent=False)

    interval: Tensor  # (P, P): which worth the way from row to column has

    def table(self) -> Tensor:
        """(P + 1, P): what each pitch is worth after each; after silence, the last row, nothing."""
        return F.pad(self.worth[self.interval], (0, 0, 0, 1))

    def forward(self, before: Tensor) -> Tensor:
        """Pitches that sounded a step before (B, T), P for silence -> logits to add (B, T, P)."""
        return self.table()[before]


@torch.no_grad()
def sung_before(
    melodies: Sequence[Melody],
    logits: Sequence[Tensor],
    noise: Sequence[Tensor],
    given: Sequence[Tensor],
) -> list[Tensor]:
    """The pitch that sounds before each step (B, T) int64 of each voice, P where none does.

    `logits` are those of each voice's cells (B, T, P + 2) before a melody is added, `noise` what is
    added after it, `given` the known cells, 0 where free. All voices are sung side by side.
    """
    if not melodies:
        return []
    sizes = [logit.shape[-1] - 2 for logit in logits]
    most = max(sizes)
    strikes = torch.stack([_padded(x[..., :-2], most, -torch.inf) for x in logits], dim=2)
    others = torch.stack([x[..., -2:] for x in logits], dim=2)  # (B, T, K, 2)
    chances = torch.stack([_widened(x, most) for x in noise], dim=2)
    tables = torch.stack([_table(melody, most) for melody in melodies])  # (K, most + 1, most)
    free, known = _tokens(given, most)
    rows = torch.arange(len(melodies), device=strikes.device)
    sounds = torch.full_like(known[:, 0], most)
    before = []
    steps = zip(*(x.unbind(1) for x in (strikes, others, chances, free, known)), strict=True)
    for strike, other, chance, is_free, token in steps:
        before.append(sounds)
        sung = torch.cat([strike + tables[rows, sounds], other], dim=-1)
        chosen = (sung + chance).argmax(-1)
        token = torch.where(is_free, chosen, token)  # (B, K)
        sounds = torch.where(token < most, token, torch.where(token == most, most, sounds))
    heard = torch.stack(before, dim=1).unbind(2)  # K of (B, T)
    return [pitch.clamp(max=size) for pitch, size in zip(heard, sizes, strict=True)]


def _padded(x: Tensor, size: int, value: float) -> Tensor:
    return F.pad(x, (0, size - x.shape[-1]), value=value)


def _widened(x: Tensor, most: int) -> Tensor:
    """Cells (..., P + 2) of a voice as those of one with `most` pitches, 0 for the new ones."""
    return torch.cat([_padded(x[..., :-2], most, 0.0), x[..., -2:]], dim=-1)


def _table(melody: Melody, most: int) -> Tensor:
    """The table of a melody for a voice of `most` pitches: (most + 1, most)."""
    table = melody.table()
    more = most - table.shape[1]
    return F.pad(table, (0, more, 0, more))


def _tokens(given: Sequence[Tensor], most: int) -> tuple[Tensor, Tensor]:
    """Which steps are free (B, T, K), and the known tokens there: `most` a rest, then a hold."""
    cells = torch.stack([_widened(x, most) for x in given], dim=2)
    return cells.sum(-1) == 0, cells.argmax(-1)
