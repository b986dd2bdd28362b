"""A multilayer perceptron for arrays of any shape, with an embedding of the labels."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from multigan.core.modules import in_float32
from multigan.core.serialization import component

LEAK = 0.2  # slope of the leaky ReLU below zero


@component
class MLP(nn.Module):
    """Arrays (B, *inputs) to arrays (B, *outputs): `depth` hidden leaky ReLU layers.

    With `num_classes` the embedding e of the labels (B,) scales the first layer by 1 + e.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        width: int = 128,
        depth: int = 3,
        num_classes: int = 0,
    ) -> None:
        """Raises ValueError if a size is not positive."""
        super().__init__()
        self.outputs = tuple(outputs)
        if min(*inputs, *outputs, width, depth) < 1:
            raise ValueError(
                "inputs, outputs, width and depth must be 1 or more; got "
                f"{inputs}, {outputs}, {width}, {depth}"
            )
        self.label = nn.Embedding(num_classes, width) if num_classes else None
        self.first = nn.Linear(math.prod(inputs), width)
        pairs = [(nn.LeakyReLU(LEAK), nn.Linear(*p)) for p in pairwise([width] * depth)]
        self.hidden = nn.Sequential(*(layer for pair in pairs for layer in pair))
        self.last = nn.Linear(width, math.prod(outputs))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, *inputs), labels (B,) -> (B, *outputs)."""
        h = self.first(x.flatten(1))
        if self.label is not None:
            h = h * (1 + self.label(label))
        h = torch.nn.functional.leaky_relu(self.hidden(h), LEAK)
        return in_float32(self.last, h).reshape(len(x), *self.outputs)
