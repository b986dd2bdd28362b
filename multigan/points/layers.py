"""What the point networks are built of."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def perceptron(inputs: int, width: int, depth: int, activation: nn.Module) -> nn.Sequential:
    """`depth` linear layers of `width` outputs, each followed by the activation.

    Raises ValueError if one of the three sizes is not positive.
    """
    if min(inputs, width, depth) < 1:
        raise ValueError(f"inputs {inputs}, width {width}, depth {depth}: wanted 1 or more of each")
    sizes = [inputs] + [width] * depth
    layers = [(nn.Linear(below, above), activation) for below, above in pairwise(sizes)]
    return nn.Sequential(*(module for layer in layers for module in layer))
