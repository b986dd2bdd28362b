"""Whole sets of pictures as tensors, and how they are brought to one size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.image.formats.decode import Size
from multigan.storage.files import MAX_ARRAY_BYTES

MIN_IMAGES = 10  # pictures in a source: to train on, to choose by and to test with
RESIZED_TOGETHER = 1024  # pictures


class ImageArrays(NamedTuple):
    """A whole source at one size."""

    pixels: Tensor  # (N, C, H, W) uint8
    labels: Tensor | None  # (N,) int64, indices into `names`
    names: tuple[str, ...]  # of the classes; empty without labels


def check_min_images(source: str, count: int, more: str = "") -> None:
    """Raise ValueError for a source of fewer than FEWEST pictures; `more` says what was skipped."""
    if count < MIN_IMAGES:
        of = "1 picture" if count == 1 else f"{count} pictures"
        because = f"; {more}" if more else ""
        raise ValueError(f"{source}: {of} can be used; wanted {MIN_IMAGES} or more{because}")


def resize(pixels: Tensor, size: Size) -> Tensor:
    """(N, C, h, w) -> (N, C, H, W), bilinear; antialiased where it shrinks.

    What is not of the wished shape is cut down around its centre first.
    """
    _demand_room(pixels, size)
    pixels = _cut(pixels, size)
    shrinks = size.height < pixels.shape[2] or size.width < pixels.shape[3]
    return F.interpolate(pixels, tuple(size), mode="bilinear", antialias=shrinks)


def resize_bytes(pixels: Tensor, size: Size) -> Tensor:
    """`resize` for uint8 pictures; those of the right size stay as they are."""
    if tuple(pixels.shape[2:]) == tuple(size):
        return pixels
    _demand_room(pixels, size)
    chunks = pixels.split(RESIZED_TOGETHER)
    return torch.cat([resize(chunk.float(), size).round().byte() for chunk in chunks])


def _demand_room(pixels: Tensor, size: Size) -> None:
    """Raise ValueError where pictures of that size would take more than a file of arrays may."""
    count, channels = pixels.shape[:2]
    wanted = count * channels * size.height * size.width * pixels.element_size()
    if wanted > MAX_ARRAY_BYTES:
        raise ValueError(
            f"{count} pictures of {size.height} x {size.width} pixels take {wanted:,} bytes; "
            f"wanted {MAX_ARRAY_BYTES:,} or fewer: take a smaller resolution"
        )


def _cut(pixels: Tensor, size: Size) -> Tensor:
    """The largest centred part of pictures (N, C, h, w) that has the shape of `size`."""
    high, wide = pixels.shape[2:]
    kept_high = min(high, max(1, round(wide * size.height / size.width)))
    kept_wide = min(wide, max(1, round(high * size.width / size.height)))
    top, left = (high - kept_high) // 2, (wide - kept_wide) // 2
    return pixels[:, :, top : top + kept_high, left : left + kept_wide]
