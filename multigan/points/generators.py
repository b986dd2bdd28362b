"""Generators of points: a perceptron from a Gaussian latent to the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from multigan.part import part
from multigan.points.layers import perceptron


@part
class MLPGenerator(nn.Module):
    """latent (B, latent_size) -> points (B, 2) in network units: `depth` hidden ReLU layers.

    Without normalisation, output squashing or dropout, so train() and eval() are the same function.
    """

    def __init__(self, latent_size: int = 2, width: int = 128, depth: int = 3) -> None:
        """Raises ValueError if a size is not positive."""
        super().__init__()
        self.latent_size = latent_size
        self.hidden = perceptron(latent_size, width, depth, nn.ReLU())
        self.last = nn.Linear(width, 2)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw `n` standard Gaussian latents (n, latent_size) on the CPU."""
        return torch.randn(n, self.latent_size, generator=rng)

    def forward(self, latent: Tensor, condition: None = None) -> Tensor:
        """(B, latent_size) -> (B, 2)."""
        return self.last(self.hidden(latent))

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """The latent at `t` in [0, 1] on the way from a to b, each (n, latent_size).

        cos and sin weights keep the mixture of two independent Gaussian latents Gaussian.
        """
        angle = t * math.pi / 2
        return math.cos(angle) * a + math.sin(angle) * b
