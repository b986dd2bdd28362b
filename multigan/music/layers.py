"""What the music networks are built of: maps and residual blocks, side by side for many voices.

Tensors are (G, B, T, C): G groups, a group's numbers never meeting another's. A linear map over
neighbouring steps is one batched matrix product, which on a CPU beats short convolutions, most of
all in second derivatives.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.2  # slope of the leaky ReLU below zero


def active(x: Tensor) -> Tensor:
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
        return x + self.project(active(self.mix(h)))


def blocks(count: int, groups: int, width: int) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(Block(groups, width) for _ in range(count)))


def root_mean_square_norm(x: Tensor) -> Tensor:
    """x (..., C) divided by the root of its mean square over C."""
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def fold_steps(x: Tensor, steps: int) -> Tensor:
    """Every `steps` steps become one: (..., T, C) -> (..., T / steps, steps C)."""
    return x.unflatten(-2, (-1, steps)).flatten(-2)


def unfold_steps(x: Tensor, steps: int) -> Tensor:
    """The inverse of `fold_steps`: (..., T, steps C) -> (..., T steps, C)."""
    return x.unflatten(-1, (steps, -1)).flatten(-3, -2)


def check_steps(steps: int, steps_per_bar: int, steps_per_beat: int) -> None:
    """Raise ValueError unless beats divide bars, and bars the window."""
    if min(steps, steps_per_bar, steps_per_beat) < 1 or (
        steps % steps_per_bar or steps_per_bar % steps_per_beat
    ):
        raise ValueError(
            f"windows of {steps} steps, bars of {steps_per_bar}, beats of {steps_per_beat}; "
            "wanted whole beats in a bar and whole bars in a window"
        )
