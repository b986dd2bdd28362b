"""Multilayer perceptrons for points: generator and discriminator."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from multigan.core.modules import in_float32
from multigan.core.serialization import component


def mlp(inputs: int, width: int, depth: int, activation: nn.Module) -> nn.Sequential:
    """`depth` linear layers of `width` outputs, each followed by the activation.

    Raises ValueError if one of the three sizes is not positive.
    """
    if min(inputs, width, depth) < 1:
        raise ValueError(
            f"inputs, width and depth must be 1 or more; got {inputs}, {width}, {depth}"
        )
    sizes = [inputs] + [width] * depth
    layers = [(nn.Linear(below, above), activation) for below, above in pairwise(sizes)]
    return nn.Sequential(*(module for layer in layers for module in layer))


@component
class MLPGenerator(nn.Module):
    """latent (B, latent_size) -> points (B, 2) in network units: `depth` hidden ReLU layers.

    Without normalization, output squashing or dropout, so train() and eval() are the same function.
    """

    def __init__(self, latent_size: int = 2, width: int = 128, depth: int = 3) -> None:
        """Raises ValueError if a size is not positive."""
        super().__init__()
        self.latent_size = latent_size
        self.hidden = mlp(latent_size, width, depth, nn.ReLU())
        self.last = nn.Linear(width, 2)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw `n` standard Gaussian latents (n, latent_size) on the CPU."""
        return torch.randn(n, self.latent_size, generator=rng)

    def forward(self, latent: Tensor, condition: None = None) -> Tensor:
        """(B, latent_size) -> (B, 2)."""
        return self.last(self.hidden(latent))

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Return the latent at `t` in [0, 1] of the path from a to b, each (n, latent_size).

        cos and sin weights keep the mixture of two independent Gaussian latents Gaussian.
        """
        angle = t * math.pi / 2
        return math.cos(angle) * a + math.sin(angle) * b


LEAK = 0.2  # slope of the leaky ReLU below zero


@component
class MLPDiscriminator(nn.Module):
    """points (B, 2) in network units -> logits (B,): `depth` hidden leaky ReLU layers.

    Its inputs are the coordinates and their sines and cosines at
    `fourier_octaves` frequencies, from a period
    of 4 network units down by halves: they let a small network draw sharp edges. No normalization.

    Source: Tancik et al. 2020 (Fourier features), positional encoding.
    """

    uses_batch_statistics = False
    frequencies: Tensor  # (fourier_octaves,), radians per network unit

    def __init__(self, width: int = 128, depth: int = 3, fourier_octaves: int = 3) -> None:
        """Raises ValueError for a `width` or `depth` below 1 or a negative `fourier_octaves`."""
        super().__init__()
        if fourier_octaves < 0:
            raise ValueError(f"fourier_octaves must be 0 or more; got {fourier_octaves}")
        self.register_buffer(
            "frequencies", math.pi / 2 * 2.0 ** torch.arange(fourier_octaves), persistent=False
        )
        self.hidden = mlp(2 + 4 * fourier_octaves, width, depth, nn.LeakyReLU(LEAK))
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor, condition: None = None) -> Tensor:
        """(B, 2) -> (B,)."""
        return in_float32(self.last, self.features(x)).squeeze(1)

    def features(self, x: Tensor, condition: None = None) -> Tensor:
        """The last hidden layer: (B, 2) -> (B, width)."""
        phases = (x[..., None] * self.frequencies).flatten(1)  # (B, 2 fourier_octaves)
        return self.hidden(torch.cat([x, phases.sin(), phases.cos()], dim=1))
