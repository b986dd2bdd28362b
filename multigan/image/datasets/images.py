"""Image datasets in memory, as bytes."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.nn.functional import pad

from multigan.core.protocols import Batch
from multigan.core.serialization import component, with_arguments
from multigan.core.splits import check_split, split_members
from multigan.image.datasets.sources import read_images
from multigan.image.domain import ImageDomain
from multigan.image.formats.decode import Size
from multigan.image.spec import from_uint8

SPLITS = {"train": (0.0, 0.7), "valid": (0.7, 0.85), "test": (0.85, 1.0)}  # fractions of each class


def load_images(
    data: str, *, resolution: int, aspect: float = 1.0, horizontal_flip: bool = False
) -> ImageDataset:
    """Load all images of a source, `resolution` pixels high and `aspect` times as wide.

    `data` is a key of `multigan.image.datasets.sources.SOURCES`, or the path of a folder, a zip
    archive or a file of arrays. Raises ValueError for a source that cannot be read.
    """
    width = round(resolution * aspect)
    return ImageDataset(
        data,
        resolution,
        width=None if width == resolution else width,
        horizontal_flip=horizontal_flip,
    )


@component
class ImageDataset:
    """Images (B, C, H, W) in [-1, 1] with labels (B,) int64, or the condition None.

    They are `resolution` pixels high, and `width` wide or square. `split` is "all" or a key of
    SPLITS: about 70, 15 and 15 % of each class, selected by a hash of the index of an image in the
    source; a split is the same on every machine and at every resolution. Bytes are mapped by the
    fixed range x / 127.5 - 1. `horizontal_flip` adds the flipped images to the training split.
    `padding` black pixels at each border are part of the size.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str,
        resolution: int,
        split: str = "all",
        width: int | None = None,
        horizontal_flip: bool = False,
        padding: int = 0,
    ) -> None:
        """Raises ValueError for an unknown source or split, or images of less than a pixel."""
        size = Size(resolution, resolution if width is None else width)
        images = read_images(source, Size(*(side - 2 * padding for side in size)))
        chosen = split_members(len(images.pixels), images.labels, split, SPLITS)
        self.split_name = split
        self.domain = ImageDomain(images.pixels.shape[1], *size, images.class_names)
        self._pixels = pad(images.pixels[chosen], (padding,) * 4)
        self._labels = None if images.labels is None else images.labels[chosen]
        self._twice = horizontal_flip and split == "train"
        self.fingerprint = _fingerprint(self._pixels, self._labels, self._twice)

    def __len__(self) -> int:
        return len(self._pixels) * (2 if self._twice else 1)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """Return the images at `indices` (B,), on their device; `rng` is not used."""
        self._keep_on(indices.device)
        if not self._twice:
            return self._batch(indices)
        flipped = indices >= len(self._pixels)  # (B,): the second half
        batch = self._batch(indices % len(self._pixels))
        return batch._replace(x=torch.where(flipped[:, None, None, None], batch.x.flip(3), batch.x))

    def _batch(self, indices: Tensor) -> Batch:
        labels = None if self._labels is None else self._labels[indices]
        return Batch(from_uint8(self._pixels[indices]), labels)

    def split(self, name: str) -> ImageDataset:
        """Return the split "train", "valid" or "test" of the whole source.

        Raises ValueError for another name.
        """
        return with_arguments(self, split=check_split(name, SPLITS))

    def _keep_on(self, device: torch.device) -> None:
        if self._pixels.device != device:
            self._pixels = self._pixels.to(device)
            self._labels = None if self._labels is None else self._labels.to(device)


def _fingerprint(pixels: Tensor, labels: Tensor | None, twice: bool) -> str:
    """Hash the shape, the bytes and the labels to 32 hex digits."""
    digest = hashlib.blake2b(repr(tuple(pixels.shape)).encode(), digest_size=16)
    if twice:
        digest.update(b"mirrored")
    digest.update(pixels.numpy().tobytes())
    if labels is not None:
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()
