"""The truncation trick: latents without their rare large values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.special import ndtr, ndtri

from multigan.core.protocols import Generator


class TruncatedLatents(nn.Module):
    """A generator whose latents follow the normal distribution truncated to +-`limit`.

    Every value is mapped to the truncated distribution at the same quantile, where BigGAN resamples
    values outside. The same seed keeps its images; a smaller limit makes them more typical.

    Raises ValueError for a limit that is not positive.
    Source: Brock et al. 2019 (BigGAN), section 3.1.
    """

    def __init__(self, generator: Generator, limit: float) -> None:
        super().__init__()
        if not limit > 0:
            raise ValueError(f"truncation must be positive; got {limit}")
        self.generator, self.limit = generator, limit

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Sample `n` latents, every value within the limit."""
        latent = self.generator.sample_latent(n, rng)
        if not isinstance(latent, Tensor):
            raise ValueError("truncation must be left out with refine: each changes the latents")
        return truncate_normal(latent, self.limit)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Generate images (n, C, H, W)."""
        return self.generator(latent, condition)


def truncate_normal(latent: Tensor, limit: float) -> Tensor:
    """Map standard normal values to the normal distribution truncated to +-`limit`."""
    tail = ndtr(torch.tensor(-limit, dtype=torch.float64))
    mapped = ndtri(tail + ndtr(latent.double()) * (1 - 2 * tail))
    return mapped.clamp(-limit, limit).to(latent.dtype)
