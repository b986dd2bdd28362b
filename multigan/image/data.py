"""Sets of pictures, kept in memory as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.contract import Batch
from multigan.image.domain import ImageDomain, from_bytes
from multigan.part import part

SPLITS = {"train": (0.0, 0.7), "valid": (0.7, 0.85), "test": (0.85, 1.0)}  # shares of each class


class Pictures(NamedTuple):
    """A whole source at one resolution."""

    pixels: Tensor  # (N, C, H, W) uint8
    labels: Tensor | None  # (N,) int64, indices into `names`
    names: tuple[str, ...]  # of the classes; empty without labels


def open_images(data: str, *, resolution: int) -> Images:
    """All pictures of a source at `resolution` pixels a side; `data` is a key of SOURCES.

    Raises ValueError, listing the known ones, for an unknown source.
    """
    return Images(data, resolution)


@part
class Images:
    """Pictures (B, C, H, W) in [-1, 1] with labels (B,) int64, or the condition None without.

    `subset` is "all" or a key of SPLITS: about 70, 15 and 15 % of each class, picked by a hash of
    the picture's number in the source, so that a split is the same on every machine and at every
    resolution. Bytes are mapped by the fixed range x / 127.5 - 1.
    """

    in_memory = True
    draws = False

    def __init__(self, source: str, resolution: int, subset: str = "all") -> None:
        """Raises ValueError for an unknown source or subset, or a resolution below 1."""
        pictures = read_pictures(source, resolution)
        chosen = _members(pictures, subset)
        channels, height, width = pictures.pixels.shape[1:]
        self.source, self.resolution, self.subset = source, resolution, subset
        self.domain = ImageDomain(channels, height, width, pictures.names)
        self._pixels = pictures.pixels[chosen]
        self._labels = None if pictures.labels is None else pictures.labels[chosen]
        self.fingerprint = _fingerprint(self._pixels, self._labels)

    def __len__(self) -> int:
        return len(self._pixels)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The pictures at `indices` (B,), on their device; nothing is drawn from `rng`."""
        self._keep_on(indices.device)
        labels = None if self._labels is None else self._labels[indices]
        return Batch(from_bytes(self._pixels[indices]), labels)

    def split(self, name: str) -> Images:
        """The part called "train", "valid" or "test" of the whole source.

        Raises ValueError for another name.
        """
        return Images(self.source, self.resolution, _known_split(name))

    def _keep_on(self, device: torch.device) -> None:
        if self._pixels.device != device:
            self._pixels = self._pixels.to(device)
            self._labels = None if self._labels is None else self._labels.to(device)


@lru_cache(maxsize=1)  # the splits of one source are cut from one reading
def read_pictures(source: str, resolution: int) -> Pictures:
    """Read a whole source at `resolution` pixels a side; its tensors are not to be written to.

    Raises ValueError for an unknown source or a resolution below 1.
    """
    if source not in SOURCES:
        raise ValueError(f"no pictures called {source!r}; known: {', '.join(SOURCES)}")
    if resolution < 1:
        raise ValueError(f"resolution is {resolution}; wanted pixels a side, 1 or more")
    return SOURCES[source](resolution)


def read_digits(resolution: int) -> Pictures:
    """The 1,797 handwritten digits of scikit-learn: 8 x 8 pictures of one channel, 10 classes.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (CC BY 4.0).
    """
    from sklearn.datasets import load_digits  # 2 s: imported by who asks for digits only

    digits = load_digits()
    ink = torch.from_numpy(digits.images).float()[:, None]  # (1797, 1, 8, 8) in 0 .. 16
    resized = resize(ink, resolution)  # in whole numbers: exact, so the same on every machine
    pixels = (resized * (255 / 16)).round().byte()
    labels = torch.from_numpy(digits.target).long()
    return Pictures(pixels, labels, tuple(str(digit) for digit in range(10)))


def resize(pixels: Tensor, resolution: int) -> Tensor:
    """(N, C, H, W) -> (N, C, resolution, resolution), bilinear; antialiased where it shrinks."""
    shrinks = resolution < min(pixels.shape[2:])
    size = (resolution, resolution)
    return F.interpolate(pixels, size, mode="bilinear", antialias=shrinks, align_corners=False)


def _members(pictures: Pictures, subset: str) -> Tensor:
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


def _fingerprint(pixels: Tensor, labels: Tensor | None) -> str:
    """32 hex digits of the shape, the bytes and the labels."""
    digest = hashlib.blake2b(repr(tuple(pixels.shape)).encode(), digest_size=16)
    digest.update(pixels.numpy().tobytes())
    if labels is not None:
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()


SOURCES: dict[str, Callable[[int], Pictures]] = {"digits": read_digits}
