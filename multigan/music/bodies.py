"""The residual trunks of the music generator: one that means something, one that thinks again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.music.layers import GroupLinear, active, blocks, fold_steps, unfold_steps

FIRST_REVISION = 0.1  # scale of what a revision adds before training


class Body(nn.Module):
    """(G, B, beats, inputs) -> (G, B, beats, width): a map, a place for each beat, blocks."""

    def __init__(self, groups: int, beats: int, inputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.enter = GroupLinear(groups, inputs, width)
        self.place = nn.Parameter(torch.randn(groups, 1, beats, width))
        self.blocks = blocks(depth, groups, width)

    def forward(self, x: Tensor) -> Tensor:
        """(G, B, beats, inputs) -> (G, B, beats, width)."""
        return self.blocks(self.enter(x) + self.place)


class Revision(nn.Module):
    """What is meant (G, B, T, C), and heard (G, B, T, inputs) -> what is meant on second thoughts.

    Nearly the same at the start. What is heard at a step and its neighbours, and in whole beats.
    """

    def __init__(self, groups: int, inputs: int, width: int, wide: int, beat_steps: int) -> None:
        super().__init__()
        self.beat_steps = beat_steps
        self.enter = GroupLinear(groups, width + inputs, width)
        self.to_beats = GroupLinear(groups, beat_steps * width, wide)
        self.at_beats = blocks(1, groups, wide)
        self.to_steps = GroupLinear(groups, wide, beat_steps * width)
        self.at_steps = blocks(1, groups, width)
        self.leave = GroupLinear(groups, width, width, gain=FIRST_REVISION)

    def forward(self, h: Tensor, heard: Tensor) -> Tensor:
        """(G, B, T, C), (G, B, T, inputs) -> (G, B, T, C)."""
        y = active(self.enter(torch.cat([h, heard], dim=-1)))
        beats = self.at_beats(self.to_beats(fold_steps(y, self.beat_steps)))
        y = self.at_steps(y + unfold_steps(self.to_steps(active(beats)), self.beat_steps))
        return h + self.leave(active(y))
