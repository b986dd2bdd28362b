"""Sets of pictures, kept in memory as bytes."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.nn.functional import pad

from multigan.core.protocols import Batch
from multigan.core.serialization import component
from multigan.image.datasets.sources import read_pictures
from multigan.image.domain import ImageDomain
from multigan.image.formats.decode import Size
from multigan.image.formats.resize import ImageArrays
from multigan.image.spec import from_uint8

SPLITS = {"train": (0.0, 0.7), "valid": (0.7, 0.85), "test": (0.85, 1.0)}  # shares of each class


def load_images(
    data: str, *, resolution: int, aspect: float = 1.0, mirrored: bool = False
) -> ImageDataset:
    """All pictures of a source, `resolution` pixels high and `aspect` times as wide.

    `data` is a key of `multigan.image.datasets.sources.SOURCES`, or the path of a folder, a zip
    archive or a file of arrays. Raises ValueError in one line for what cannot be read.
    """
    width = round(resolution * aspect)
    return ImageDataset(
        data, resolution, width=None if width == resolution else width, mirrored=mirrored
    )


@component
class ImageDataset:
    """Pictures (B, C, H, W) in [-1, 1] with labels (B,) int64, or the condition None without.

    They are `resolution` pixels high, and `width` wide or square. `subset` is "all" or a key of
    SPLITS: about 70, 15 and 15 % of each class, picked by a hash of the picture's number in the
    source, so that a split is the same on every machine and at every resolution. Bytes are mapped
    by the fixed range x / 127.5 - 1. With `mirrored` the training split holds every picture a
    second time, left and right exchanged; the others do not. `margin` pixels at each border are
    black: the pictures are that much smaller.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str,
        resolution: int,
        subset: str = "all",
        width: int | None = None,
        mirrored: bool = False,
        margin: int = 0,
    ) -> None:
        """Raises ValueError for an unknown source or subset, or pictures of less than a pixel."""
        size = Size(resolution, resolution if width is None else width)
        pictures = read_pictures(source, Size(*(side - 2 * margin for side in size)))
        chosen = _members(pictures, subset)
        self.source, self.resolution, self.subset = source, resolution, subset
        self.width, self.mirrored, self.margin = width, mirrored, margin
        self.domain = ImageDomain(pictures.pixels.shape[1], *size, pictures.names)
        self._pixels = pad(pictures.pixels[chosen], (margin,) * 4)
        self._labels = None if pictures.labels is None else pictures.labels[chosen]
        self._twice = mirrored and subset == "train"
        self.fingerprint = _fingerprint(self._pixels, self._labels, self._twice)

    def __len__(self) -> int:
        return len(self._pixels) * (2 if self._twice else 1)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The pictures at `indices` (B,), on their device; nothing is drawn from `rng`."""
        self._keep_on(indices.device)
        if not self._twice:
            return self._batch(indices)
        turned = indices >= len(self._pixels)  # (B,): the second half are mirror images
        batch = self._batch(indices % len(self._pixels))
        return batch._replace(x=torch.where(turned[:, None, None, None], batch.x.flip(3), batch.x))

    def _batch(self, indices: Tensor) -> Batch:
        labels = None if self._labels is None else self._labels[indices]
        return Batch(from_uint8(self._pixels[indices]), labels)

    def split(self, name: str) -> ImageDataset:
        """The part called "train", "valid" or "test" of the whole source.

        Raises ValueError for another name.
        """
        kept = (self.width, self.mirrored, self.margin)
        return ImageDataset(self.source, self.resolution, _known_split(name), *kept)

    def _keep_on(self, device: torch.device) -> None:
        if self._pixels.device != device:
            self._pixels = self._pixels.to(device)
            self._labels = None if self._labels is None else self._labels.to(device)


def _members(pictures: ImageArrays, subset: str) -> Tensor:
    """The indices (n,) of a subset, ascending: of each class the share that SPLITS names."""
    count = len(pictures.pixels)
    if subset == "all":
        return torch.arange(count)
    first, last = SPLITS[_known_split(subset)]
    groups: dict[int, list[int]] = {}
    labels = [0] * count if pictures.labels is None else pictures.labels.tolist()
    for index in sorted(range(count), key=_shuffle_key):
        groups.setdefault(labels[index], []).append(index)
    shares = [g[round(first * len(g)) : round(last * len(g))] for g in groups.values()]
    return torch.tensor(sorted(index for share in shares for index in share), dtype=torch.long)


def _known_split(name: str) -> str:
    if name not in SPLITS:
        raise ValueError(f"no split called {name!r}; known: {', '.join(SPLITS)}")
    return name


def _shuffle_key(index: int) -> bytes:
    """A random-looking sort key that no version of any library can change."""
    return hashlib.blake2b(f"split {index}".encode(), digest_size=8).digest()


def _fingerprint(pixels: Tensor, labels: Tensor | None, twice: bool) -> str:
    """32 hex digits of the shape, the bytes and the labels."""
    digest = hashlib.blake2b(repr(tuple(pixels.shape)).encode(), digest_size=16)
    if twice:
        digest.update(b"mirrored")
    digest.update(pixels.numpy().tobytes())
    if labels is not None:
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()
