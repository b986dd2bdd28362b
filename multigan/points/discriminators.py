"""Discriminators of points: a perceptron over coordinates and waves of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from multigan.contract import in_float32
from multigan.part import part
from multigan.points.layers import perceptron

LEAK = 0.2  # slope of the leaky ReLU below zero


@part
class MLPDiscriminator(nn.Module):
    """points (B, 2) in network units -> logits (B,): `depth` hidden leaky ReLU layers.

    Beside the coordinates it sees their sines and cosines at `octaves` frequencies, from a period
    of 4 network units down by halves: they let a small network draw sharp edges. No normalisation.

    Source: Tancik et al. 2020 (Fourier features), positional encoding.
    """

    couples_batch = False
    frequencies: Tensor  # (octaves,), radians per network unit

    def __init__(self, width: int = 128, depth: int = 3, octaves: int = 3) -> None:
        """Raises ValueError if `width` or `depth` is not positive, or `octaves` is negative."""
        super().__init__()
        if octaves < 0:
            raise ValueError(f"octaves is {octaves}; wanted a number of frequencies, 0 or more")
        self.register_buffer(
            "frequencies", math.pi / 2 * 2.0 ** torch.arange(octaves), persistent=False
        )
        self.hidden = perceptron(2 + 4 * octaves, width, depth, nn.LeakyReLU(LEAK))
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor, condition: None = None) -> Tensor:
        """(B, 2) -> (B,)."""
        return in_float32(self.last, self.features(x)).squeeze(1)

    def features(self, x: Tensor, condition: None = None) -> Tensor:
        """The last hidden layer: (B, 2) -> (B, width)."""
        phases = (x[..., None] * self.frequencies).flatten(1)  # (B, 2 octaves)
        return self.hidden(torch.cat([x, phases.sin(), phases.cos()], dim=1))
