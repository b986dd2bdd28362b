"""Points drawn once from a mixture of Gaussians, and kept."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component
from multigan.points.domain import PointsDomain
from multigan.points.mixtures import get_mixture

HELD_OUT_PERCENT = 10_000  # points in each of "valid" and "test"
SPLITS = ("train", "valid", "test")


@component
class GaussianMixture:
    """A fixed sample of a layout; `Batch.x` (B, 2) is float32 in network units, without condition.

    Each split is a draw of its own from (seed, layout, split), so the three share no point.
    `size` counts the training points; the protocol has 100,000.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self, layout: str = "grid", size: int = 100_000, seed: int = 0, split: str = "train"
    ) -> None:
        """Raises ValueError for an unknown layout or split, or if `size` is not positive."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
        if size < 1:
            raise ValueError(f"size is {size}; wanted a number of training points, 1 or more")
        shape = get_mixture(layout)
        rng = keyed_rng(seed, "points", layout, split)
        points = shape.draw(size if split == "train" else HELD_OUT_PERCENT, rng)
        self.domain = PointsDomain(layout)
        self.fingerprint = f"{layout} {split} {len(points)} seed {seed}"
        self._arguments = (layout, size, seed)
        self._points = (points / shape.unit).float()  # (points, 2), network units

    def __len__(self) -> int:
        return len(self._points)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The points at `indices` (B,), on their device; nothing is drawn, so `rng` is unused."""
        if self._points.device != indices.device:
            self._points = self._points.to(indices.device)
        return Batch(self._points[indices])

    def split(self, name: str) -> GaussianMixture:
        """The split called "train", "valid" or "test", whichever split this one is.

        Raises ValueError for another name.
        """
        return GaussianMixture(*self._arguments, split=name)
