"""Grouped layers, residual backbones and refinement blocks for voices."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.2  # slope of the leaky ReLU below zero


def activation(x: Tensor) -> Tensor:
    """The leaky ReLU of these networks."""
    return F.leaky_relu(x, LEAK)


def linear(inputs: int, outputs: int, inputs_at_once: int | None = None) -> nn.Linear:
    """A linear map whose outputs vary as its inputs do, bias from 0.

    `inputs_at_once` is how many inputs of a sparse kind, one-hot say, are 1 together; all of them
    unless given.
    """
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=1 / math.sqrt(inputs_at_once or inputs))
    nn.init.zeros_(layer.bias)
    return layer


class GroupLinear(nn.Module):
    """(G, B, ..., inputs) -> (G, B, ..., outputs): a linear map for each group, bias from 0."""

    def __init__(self, groups: int, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(groups, inputs, outputs) * gain / math.sqrt(max(inputs, 1))
        )
        self.bias = nn.Parameter(torch.zeros(groups * outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(G, B, ..., inputs) -> (G, B, ..., outputs)."""
        bias = self.bias.view(len(self.weight), 1, -1)
        y = torch.baddbmm(bias, x.flatten(1, -2), self.weight)  # (G, B ..., outputs)
        return y.unflatten(1, x.shape[1:-1])


class Block(nn.Module):
    """x + W2 active(W1 [before, here, after] + b1) + b2: the identity at the start.

    (G, B, T, C) -> (G, B, T, C); zeros stand before the first step and after the last.
    """

    def __init__(self, groups: int, width: int) -> None:
        super().__init__()
        self.mix = GroupLinear(groups, 3 * width, width)
        self.project = GroupLinear(groups, width, width, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(G, B, T, C) -> (G, B, T, C)."""
        around = F.pad(x, (0, 0, 1, 1))
        h = torch.cat([around[..., :-2, :], x, around[..., 2:, :]], dim=-1)  # (G, B, T, 3 C)
        return x + self.project(activation(self.mix(h)))


def blocks(count: int, groups: int, width: int) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(Block(groups, width) for _ in range(count)))


def rms_norm(x: Tensor) -> Tensor:
    """x (..., C) divided by the root of its mean square over C."""
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def group_steps(x: Tensor, steps: int) -> Tensor:
    """Every `steps` steps become one: (..., T, C) -> (..., T / steps, steps C)."""
    return x.unflatten(-2, (-1, steps)).flatten(-2)


def ungroup_steps(x: Tensor, steps: int) -> Tensor:
    """The inverse of `group_steps`: (..., T, steps C) -> (..., T steps, C)."""
    return x.unflatten(-1, (steps, -1)).flatten(-3, -2)


def check_steps(steps: int, steps_per_bar: int, steps_per_beat: int) -> None:
    """Raise ValueError unless beats divide bars, and bars the window."""
    if min(steps, steps_per_bar, steps_per_beat) < 1 or (
        steps % steps_per_bar or steps_per_bar % steps_per_beat
    ):
        raise ValueError(
            "steps must be whole beats in a bar and whole bars in a window; got "
            f"windows of {steps} steps, bars of {steps_per_bar}, beats of {steps_per_beat}"
        )


FIRST_REVISION = 0.1  # scale of what a revision adds before training


class ResidualBackbone(nn.Module):
    """(G, B, beats, inputs) -> (G, B, beats, width): a map, a place for each beat, blocks."""

    def __init__(self, groups: int, beats: int, inputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.enter = GroupLinear(groups, inputs, width)
        self.place = nn.Parameter(torch.randn(groups, 1, beats, width))
        self.blocks = blocks(depth, groups, width)

    def forward(self, x: Tensor) -> Tensor:
        """(G, B, beats, inputs) -> (G, B, beats, width)."""
        return self.blocks(self.enter(x) + self.place)


class RefinementBlock(nn.Module):
    """Hidden states (G, B, T, C) and features (G, B, T, inputs) -> refined hidden states.

    Nearly the same at the start. Reads each step with its neighbors, and whole beats.
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

    def forward(self, h: Tensor, features: Tensor) -> Tensor:
        """(G, B, T, C), (G, B, T, inputs) -> (G, B, T, C)."""
        y = activation(self.enter(torch.cat([h, features], dim=-1)))
        beats = self.at_beats(self.to_beats(group_steps(y, self.beat_steps)))
        y = self.at_steps(y + ungroup_steps(self.to_steps(activation(beats)), self.beat_steps))
        return h + self.leave(activation(y))
