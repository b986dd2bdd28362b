"""Melody: what a voice sings next depends on what it sings now."""

from __future__ import annotations

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
