"""Stacks of three grey pictures as the channels of one: as many modes as triples of classes.

With ten classes there are 1,000 modes, known and countable: the classic test for mode collapse.
Source: Metz et al. 2017 (Unrolled GANs), section 3.3; the fixed training set and the counts are
those of Srivastava et al. 2017 (VEEGAN) and Lin et al. 2018 (PacGAN).
"""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component
from multigan.image.datasets.images import ImageDataset
from multigan.image.domain import ImageDomain

CHANNELS = 3  # grey pictures in a stack
SIZES = {"train": 128_000, "valid": 4_000, "test": 26_000}  # stacks of each split


@component
class StackedImages:
    """Stacks (B, 3, H, W) in [-1, 1] of pictures of one labelled grey source, without condition.

    Stack k of a split holds three pictures that are drawn, with putting back, from the same split
    of the source: from (seed, split) and k alone. They are composed when asked for. `layers` are
    the grey pictures, which know their classes: what a stack shows can be counted. They are
    `resolution` pixels a side, `margin` black ones at each border among them.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str,
        resolution: int,
        subset: str = "train",
        seed: int = 0,
        margin: int = 0,
    ) -> None:
        """Raises ValueError for an unknown source or split, and for colour or unlabelled ones."""
        if subset not in SIZES:
            raise ValueError(f"no split called {subset!r}; known: {', '.join(SIZES)}")
        self.layers = ImageDataset(source, resolution, subset, margin=margin)
        grey = self.layers.domain
        if grey.channels != 1 or not grey.labels:
            raise ValueError(f"{source}: wanted grey pictures with classes, to stack and to count")
        self.source, self.resolution, self.seed, self.margin = source, resolution, seed, margin
        self.domain = ImageDomain(CHANNELS, grey.height, grey.width)
        self.fingerprint = f"{CHANNELS} of {self.layers.fingerprint} seed {seed}"
        rng = keyed_rng(seed, "stacks", subset)
        shape = (SIZES[subset], CHANNELS)
        self._picks = torch.randint(len(self.layers), shape, generator=rng)

    def __len__(self) -> int:
        return len(self._picks)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The stacks at `indices` (B,), on their device; nothing is drawn from `rng`."""
        self._picks = self._picks.to(indices.device)
        picked = self._picks[indices]  # (B, 3)
        grey = self.layers.batch(picked.flatten()).x  # (B * 3, 1, H, W)
        return Batch(grey.unflatten(0, picked.shape).squeeze(2))  # (B, 3, H, W)

    def split(self, name: str) -> StackedImages:
        """The split called "train", "valid" or "test", whichever split this one is.

        Raises ValueError for another name.
        """
        return StackedImages(self.source, self.resolution, name, self.seed, self.margin)
