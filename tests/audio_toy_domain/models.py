"""A generator and a discriminator of waves."""

import torch
from torch import nn

from multigan.core.serialization import component


@component
class WaveGenerator(nn.Module):
    """latent (B, 4) -> waves (B, length)."""

    def __init__(self, length, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, length))

    def sample_latent(self, n, rng):
        """Draw latents (n, 4)."""
        return torch.randn(n, 4, generator=rng)

    def forward(self, latent, condition=None):
        """(B, 4) -> (B, length)."""
        return self.layers(latent)


@component
class WaveDiscriminator(nn.Module):
    """waves (B, length) -> logits (B, 1)."""

    uses_batch_statistics = False

    def __init__(self, length, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(length, width), nn.Softplus(), nn.Linear(width, 1))

    def forward(self, x, condition=None):
        """(B, length) -> (B, 1)."""
        return self.layers(x)
