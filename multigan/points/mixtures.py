"""Mixtures of Gaussians: the 8-ring and the 25-grid of the mode-collapse literature.

Source: PacGAN (Lin et al. 2018), section 4.1, and its published code.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class GaussianMixtureSpec(NamedTuple):
    """Equally likely isotropic Gaussians; `means` and `sd` in the units of the published protocol.

    Networks see coordinates divided by `unit`, which puts every mean inside [-1, 1].
    """

    means: tuple[tuple[float, float], ...]
    sd: float
    unit: float

    def centers(self) -> Tensor:
        """Return the means as a tensor (modes, 2), float64."""
        return torch.tensor(self.means, dtype=torch.float64)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw `n` independent points (n, 2), float64, in the units of the protocol."""
        modes = torch.randint(len(self.means), (n,), generator=rng)
        noise = torch.randn(n, 2, generator=rng, dtype=torch.float64)
        return self.centers()[modes] + self.sd * noise


def get_mixture(name: str) -> GaussianMixtureSpec:
    """Return the mixture called `name`. Raises ValueError for an unknown name."""
    if name not in MIXTURES:
        raise ValueError(f"mixture must be one of {', '.join(MIXTURES)}; got {name!r}")
    return MIXTURES[name]


def _ring() -> GaussianMixtureSpec:
    angles = [2 * math.pi * k / 8 for k in range(8)]
    return GaussianMixtureSpec(tuple((math.cos(a), math.sin(a)) for a in angles), sd=0.01, unit=1.0)


def _grid() -> GaussianMixtureSpec:
    ticks = (-4.0, -2.0, 0.0, 2.0, 4.0)
    return GaussianMixtureSpec(tuple((x, y) for x in ticks for y in ticks), sd=0.05, unit=4.0)


MIXTURES = {"grid": _grid(), "ring": _ring()}
