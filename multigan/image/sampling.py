"""The truncation trick: latents without their rare large numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.special import ndtr, ndtri


class TruncatedLatents(nn.Module):
    """A generator whose latents follow the normal distribution cut off at +-`limit`.

    Every number is moved, by the map that keeps its rank, instead of being drawn anew where it lies
    outside: the same seed then shows the same pictures, the plainer the smaller the limit.

    Raises ValueError for a limit that is not above 0.
    Source: Brock et al. 2019 (BigGAN), section 3.1, which draws anew.
    """

    def __init__(self, generator: Any, limit: float) -> None:
        super().__init__()
        if not limit > 0:
            raise ValueError(f"truncation is {limit}; wanted more than 0")
        self.generator, self.limit = generator, limit

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """`n` latents, every number within the limit."""
        return truncate_normal(self.generator.sample_latent(n, rng), self.limit)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Pictures (n, C, H, W)."""
        return self.generator(latent, condition)


def truncate_normal(latent: Tensor, limit: float) -> Tensor:
    """Standard normal numbers as those of the normal distribution within +-`limit`."""
    tail = ndtr(torch.tensor(-limit, dtype=torch.float64))
    moved = ndtri(tail + ndtr(latent.double()) * (1 - 2 * tail))
    return moved.clamp(-limit, limit).to(latent.dtype)
