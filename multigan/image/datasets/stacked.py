"""Stacked images: three grayscale images as the channels of one, to count modes.

With ten classes there are 1,000 triples of classes: the standard test for mode collapse.
Source: Metz et al. 2017 (Unrolled GANs), section 3.3; the fixed training set and the counts are
those of Srivastava et al. 2017 (VEEGAN) and Lin et al. 2018 (PacGAN).
"""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.data_counts import DataCounts
from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component, with_arguments
from multigan.image.datasets.images import ImageDataset
from multigan.image.domain import ImageDomain

CHANNELS = 3  # grayscale images in a stack
SIZES = {"train": 128_000, "valid": 4_000, "test": 26_000}  # stacks of each split


@component
class StackedImages:
    """Stacks (B, 3, H, W) in [-1, 1] of images of one labeled grayscale source, unconditional.

    Stack k of a split consists of three images sampled with replacement from the same split of the
    source; it depends on (seed, split) and k alone, and is composed on demand. `grayscale_source`
    is the labeled source, for counting the classes in a stack. Images have `resolution` pixels a
    side, with `padding` black ones at each border.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str,
        resolution: int,
        split: str = "train",
        seed: int = 0,
        padding: int = 0,
    ) -> None:
        """Raises ValueError for an unknown source or split, and for color or unlabeled images."""
        if split not in SIZES:
            raise ValueError(f"split must be one of {', '.join(SIZES)}; got {split!r}")
        self.grayscale_source = ImageDataset(source, resolution, split, padding=padding)
        gray = self.grayscale_source.domain
        if gray.channels != 1 or not gray.class_names:
            kind = f"{gray.channels} channels and {gray.num_classes} classes"
            raise ValueError(f"{source}: images must be grayscale and labeled; got {kind}")
        self.domain = ImageDomain(CHANNELS, gray.height, gray.width)
        self.fingerprint = f"{CHANNELS} of {self.grayscale_source.fingerprint} seed {seed}"
        rng = keyed_rng(seed, "stacks", split)
        shape = (SIZES[split], CHANNELS)
        self._picks = torch.randint(len(self.grayscale_source), shape, generator=rng)

    def __len__(self) -> int:
        return len(self._picks)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """Return the stacks at `indices` (B,), on their device; `rng` is not used."""
        self._picks = self._picks.to(indices.device)
        picked = self._picks[indices]  # (B, 3)
        gray = self.grayscale_source.batch(picked.flatten()).x  # (B * 3, 1, H, W)
        return Batch(gray.unflatten(0, picked.shape).squeeze(2))  # (B, 3, H, W)

    def data_counts(self) -> DataCounts | None:
        """Return what the reader of the source used, changed and left out."""
        return self.grayscale_source.data_counts()

    def split(self, name: str) -> StackedImages:
        """Return the split "train", "valid" or "test" of the source.

        Raises ValueError for another name.
        """
        return with_arguments(self, split=name)
