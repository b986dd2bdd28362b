"""Image datasets in memory, as bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from multigan.core.data_counts import DataCounts
from multigan.core.fingerprint import fingerprint
from multigan.core.protocols import Batch
from multigan.core.serialization import component, with_arguments
from multigan.core.splits import check_split, divide, shuffle_key
from multigan.image.datasets.sources import read_images
from multigan.image.domain import ImageDomain
from multigan.image.formats.arrays import images_in_memory
from multigan.image.formats.decode import Size
from multigan.image.formats.resize import MIN_IMAGES, ImageArrays
from multigan.image.formats.values import ReadOptions
from multigan.image.spec import from_uint8
from multigan.storage.row_files import StoredRows, read_rows, row_blocks

SPLITS = {"train": (0.0, 0.7), "valid": (0.7, 0.85), "test": (0.85, 1.0)}  # fractions of each class


def load_images(
    data: str,
    *,
    resolution: int,
    aspect: float = 1.0,
    horizontal_flip: bool = False,
    background: str = "white",
    alpha: bool = False,
    stretch: bool = False,
    all_frames: bool = False,
    in_memory: str = "auto",
    unconditional: bool = False,
) -> ImageDataset:
    """Load all images of a source, `resolution` pixels high and `aspect` times as wide.

    `data` is a key of `multigan.image.datasets.sources.SOURCES`, or the path of a folder, a zip
    archive or a file of arrays. `background` to `all_frames` are those of `ReadOptions`,
    `in_memory` and `unconditional` are as in `ImageDataset`. Raises ValueError for a source that
    cannot be read.
    """
    width = round(resolution * aspect)
    return ImageDataset(
        data,
        resolution,
        width=None if width == resolution else width,
        horizontal_flip=horizontal_flip,
        background=background,
        alpha=alpha,
        stretch=stretch,
        all_frames=all_frames,
        in_memory=in_memory,
        unconditional=unconditional,
    )


@component
class ImageDataset:
    """Images (B, C, H, W) in [-1, 1] with labels (B,) int64, or the condition None.

    They are `resolution` pixels high, and `width` wide or square. `split` is "all" or a key of
    SPLITS: about 70, 15 and 15 % of each class, selected by a hash of the index of an image in the
    source; a split is the same on every machine and at every resolution. Bytes are mapped by the
    fixed range x / 127.5 - 1. `horizontal_flip` adds the flipped images to the training split.
    `padding` black pixels at each border are part of the size. The other arguments are those of
    `ReadOptions`. Frames of one file are in one split.

    `in_memory` is "yes", "no" or "auto", by their size: see `fits_in_memory`. Images that are not
    in memory are decoded once, into a file of the cache, and read from there batch by batch: the
    samples, their order and the fingerprint are the same. Arrays are always in memory.

    `unconditional` leaves the labels out: the images of each split are those of the labeled set,
    whose classes still divide it.
    """

    is_stochastic = False
    _memory: ImageArrays | None = None  # all images, where no source could be read again

    def __init__(
        self,
        source: str,
        resolution: int,
        split: str = "all",
        width: int | None = None,
        horizontal_flip: bool = False,
        padding: int = 0,
        background: str = "white",
        alpha: bool = False,
        stretch: bool = False,
        all_frames: bool = False,
        in_memory: str = "auto",
        unconditional: bool = False,
    ) -> None:
        """Raises ValueError for an unknown source or split, or images of less than a pixel."""
        options = ReadOptions(background, alpha, all_frames, stretch)
        size = Size(resolution, resolution if width is None else width)
        inner = Size(*(side - 2 * padding for side in size))
        images = read_images(source, inner, options, in_memory)
        self._take(images, split, horizontal_flip, padding, unconditional)

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        labels: Any = None,
        *,
        class_names: Sequence[str] = (),
        resolution: int | None = None,
        horizontal_flip: bool = False,
    ) -> ImageDataset:
        """Return the images of an array (N, H, W), (N, H, W, C) or (N, C, H, W) in memory.

        An array that could be both, such as (N, 3, H, 3), is read as (N, C, H, W).
        Bytes stay as they are; floating-point numbers are in 0 to 1, -1 to 1 or 0 to 255, by the
        first range that holds all. `labels` (N,) are integers, named by `class_names`, or names.
        With `resolution` images are resized to a square. A run of such images cannot be rebuilt
        from its files. Raises ValueError for anything else.
        """
        size = None if resolution is None else Size(resolution, resolution)
        found = cls.__new__(cls)
        found._memory = images_in_memory(x, labels, class_names, size)
        found._take(found._memory, "all", horizontal_flip)
        return found

    def _take(
        self,
        images: ImageArrays,
        split: str,
        horizontal_flip: bool,
        padding: int = 0,
        unconditional: bool = False,
    ) -> None:
        """Hold the images of a split."""
        chosen = _members(images, split)
        self.split_name, self._flips, self._padding = split, horizontal_flip, padding
        self._pixels = images.pixels if split == "all" else images.pixels[chosen]
        self.in_memory = isinstance(self._pixels, Tensor)
        channels, height, width = images.pixels.shape[1:]
        if unconditional:
            images = images._replace(labels=None, class_names=())
        self.domain = ImageDomain(
            channels, height + 2 * padding, width + 2 * padding, images.class_names
        )
        self.labels = None if images.labels is None else images.labels[chosen]
        self._counts = images.counts
        self._twice = horizontal_flip and split == "train"
        self._fingerprints: dict[str, str] = {}  # of all splits: shared with the others

    @property
    def fingerprint(self) -> str:
        """A hash of the size, the bytes and the labels of this split: 32 hex digits."""
        if self.split_name not in self._fingerprints:
            self._fingerprints[self.split_name] = self._hash()
        return self._fingerprints[self.split_name]

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
        labels = None if self.labels is None else self.labels[indices]
        pixels = read_rows(self._pixels[indices]).to(indices.device)
        return Batch(from_uint8(self._padded(pixels)), labels)

    def _padded(self, pixels: Tensor) -> Tensor:
        return pad(pixels, (self._padding,) * 4) if self._padding else pixels

    def prefetch(self, indices: Tensor) -> None:
        """Ask the system to read the images at `indices` (B,) ahead, if they are not in memory."""
        if isinstance(self._pixels, StoredRows):
            self._pixels[indices % len(self._pixels)].prefetch()

    def data_counts(self) -> DataCounts | None:
        """Return what the reader of the whole source used, changed and left out."""
        if self._counts is not None:
            size = f"{math.prod(self._pixels.shape) / 1e6:,.1f} MB"
            at = "in memory" if self.in_memory else "read from a cached file"
            self._counts.place = f"{at}, {size}"
        return self._counts

    def split(self, name: str) -> ImageDataset:
        """Return the split "train", "valid" or "test" of the whole source.

        Raises ValueError for another name.
        """
        check_split(name, SPLITS)
        if self._memory is None:
            part = with_arguments(self, split=name)
        else:
            part = type(self).__new__(type(self))
            part._memory = self._memory
            part._take(part._memory, name, self._flips)
        part._fingerprints = self._fingerprints
        return part

    def _keep_on(self, device: torch.device) -> None:
        if isinstance(self._pixels, Tensor):
            self._pixels = self._pixels.to(device)
        self.labels = None if self.labels is None else self.labels.to(device)

    def _hash(self) -> str:
        def parts() -> Iterator[object]:
            yield len(self._pixels), *self.domain.shape
            yield "mirrored" if self._twice else ""
            for block in row_blocks(self._pixels):
                yield self._padded(block.cpu()).contiguous().numpy().data
            if self.labels is not None:
                yield self.labels.cpu().numpy().data

        return fingerprint(parts())


def _members(images: ImageArrays, split: str) -> Tensor:
    """Return the indices (n,) of a split, ascending: the fraction of each class in SPLITS."""
    count = len(images.pixels)
    if split == "all":
        return torch.arange(count)
    check_split(split, SPLITS)
    files = torch.arange(count) if images.groups is None else images.groups
    labels = [0] * count if images.labels is None else images.labels.tolist()
    label_of = dict(zip(files.tolist(), labels, strict=True))  # file -> class
    few = len(label_of) < MIN_IMAGES  # long animations: the splits are stretches of frames
    if few:
        files, label_of = torch.arange(count), dict(enumerate(labels))
    order = sorted(label_of, key=None if few else shuffle_key)
    chosen = torch.tensor(divide(order, label_of, SPLITS)[split], dtype=torch.long)
    return torch.isin(files, chosen).nonzero().flatten()
