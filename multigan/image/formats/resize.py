"""Sets of images as tensors, and resizing to one size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.image.formats.decode import Size
from multigan.storage.files import MAX_ARRAY_BYTES

MIN_IMAGES = 10  # of a source: for three splits
RESIZE_BATCH = 1024  # images resized together


class ImageArrays(NamedTuple):
    """All images of a source at one size."""

    pixels: Tensor  # (N, C, H, W) uint8
    labels: Tensor | None  # (N,) int64, indices into `class_names`
    class_names: tuple[str, ...]  # empty without labels


def check_min_images(source: str, count: int, more: str = "") -> None:
    """Raise ValueError for fewer than MIN_IMAGES images; `more` describes skipped files."""
    if count < MIN_IMAGES:
        because = f"; {more}" if more else ""
        raise ValueError(
            f"{source} must have {MIN_IMAGES} or more usable images; got {count}{because}"
        )


def resize(pixels: Tensor, size: Size) -> Tensor:
    """(N, C, h, w) -> (N, C, H, W), bilinear, antialiased if it shrinks.

    Other aspect ratios are center-cropped first.
    """
    _check_size(pixels, size)
    pixels = _center_crop(pixels, size)
    shrinks = size.height < pixels.shape[2] or size.width < pixels.shape[3]
    return F.interpolate(pixels, tuple(size), mode="bilinear", antialias=shrinks)


def resize_uint8(pixels: Tensor, size: Size) -> Tensor:
    """Resize uint8 images; images of the right size are returned unchanged."""
    if tuple(pixels.shape[2:]) == tuple(size):
        return pixels
    _check_size(pixels, size)
    chunks = pixels.split(RESIZE_BATCH)
    return torch.cat([resize(chunk.float(), size).round().byte() for chunk in chunks])


def _check_size(pixels: Tensor, size: Size) -> None:
    """Raise ValueError if images of that size exceed the limit of a file of arrays."""
    count, channels = pixels.shape[:2]
    num_bytes = count * channels * size.height * size.width * pixels.element_size()
    if num_bytes > MAX_ARRAY_BYTES:
        raise ValueError(
            f"images must take {MAX_ARRAY_BYTES:,} bytes or fewer; got {num_bytes:,} for "
            f"{count} images of {size.height} x {size.width} pixels: use a smaller resolution"
        )


def _center_crop(pixels: Tensor, size: Size) -> Tensor:
    """Crop images (N, C, h, w) to the largest centered part with the aspect ratio of `size`."""
    high, wide = pixels.shape[2:]
    crop_height = min(high, max(1, round(wide * size.height / size.width)))
    crop_width = min(wide, max(1, round(high * size.width / size.height)))
    top, left = (high - crop_height) // 2, (wide - crop_width) // 2
    return pixels[:, :, top : top + crop_height, left : left + crop_width]
