"""Points sampled once from a mixture of Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component, with_arguments
from multigan.points.domain import PointsDomain
from multigan.points.mixtures import get_mixture

NUM_HELD_OUT = 10_000  # points in each of "valid" and "test"
SPLITS = ("train", "valid", "test")


@component
class GaussianMixture:
    """A fixed sample of a mixture; `Batch.x` (B, 2) is float32 in network units, without condition.

    Each split is a sample of its own from (seed, mixture, split), so the three share no point.
    `size` counts the training points; the protocol has 100,000.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self, mixture: str = "grid", size: int = 100_000, seed: int = 0, split: str = "train"
    ) -> None:
        """Raises ValueError for an unknown mixture or split, or if `size` is not positive."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
        if size < 1:
            raise ValueError(f"size must be 1 or more training points; got {size}")
        spec = get_mixture(mixture)
        rng = keyed_rng(seed, "points", mixture, split)
        points = spec.sample(size if split == "train" else NUM_HELD_OUT, rng)
        self.domain = PointsDomain(mixture)
        self.fingerprint = f"{mixture} {split} {len(points)} seed {seed}"
        self._points = (points / spec.unit).float()  # (points, 2), network units

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
        return with_arguments(self, split=name)
