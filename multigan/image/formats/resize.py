"""Sets of images as tensors, and resizing to one size."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.core.data_counts import DataCounts
from multigan.image.formats.decode import TRANSPARENT, Size
from multigan.image.formats.labels import NO_LABEL, Labels
from multigan.storage.files import MAX_ARRAY_BYTES
from multigan.storage.row_files import StoredRows, read_rows, row_blocks

MIN_IMAGES = 10  # of a source: for three splits
MAX_PROBED = 10_000_000  # values that a share is measured on
ONE_VALUE_SHARE = 0.995  # of all values, above which images are reported as nearly of one value
NO_LABEL_REASON = "no label"
RESIZE_BATCH = 1024  # images resized together


class ImageArrays(NamedTuple):
    """All images of a source at one size."""

    pixels: Tensor | StoredRows  # (N, C, H, W) uint8
    labels: Tensor | None = None  # (N,) int64, indices into `class_names`
    class_names: tuple[str, ...] = ()  # empty without labels
    counts: DataCounts | None = None  # of the items of the source
    groups: Tensor | None = None  # (N,) the file of each image, if some have several


def with_labels(images: ImageArrays, labels: Labels, repeats: Tensor | None = None) -> ImageArrays:
    """Return the images that have a label, with it; all of them if none has one.

    `repeats` (files,) is the number of images that each label stands for.
    """
    if labels.numbers is None or not (labels.numbers != NO_LABEL).any():
        return images
    numbers = torch.from_numpy(labels.numbers)
    numbers = numbers if repeats is None else numbers.repeat_interleave(repeats)
    keep = numbers != NO_LABEL
    if not keep.all():
        groups = None if images.groups is None else images.groups[keep]
        images = images._replace(pixels=images.pixels[keep], groups=groups)
    return images._replace(labels=numbers[keep], class_names=labels.names)


def unlabeled_note(missing: int, count: int) -> str:
    """Describe images without a label that are left out; "" if there are none."""
    return f"{missing:,} of {count:,} images have no label and are left out" if missing else ""


def check_min_images(source: str, count: int, more: str = "") -> None:
    """Raise ValueError for fewer than MIN_IMAGES images; `more` describes skipped files."""
    if count < MIN_IMAGES:
        because = f"; {more}" if more else ""
        raise ValueError(
            f"{source} must have {MIN_IMAGES} or more usable images; got {count}{because}"
        )


def raise_if_alike(source: str, pixels: Tensor | StoredRows, counts: DataCounts | None) -> None:
    """Raise ValueError if all images (N, C, H, W) are the same."""
    if len(pixels) > 1 and _all_equal(pixels):
        raise ValueError(f"{source} must have images that differ; got {alike_note(pixels, counts)}")


def _all_equal(pixels: Tensor | StoredRows) -> bool:
    """Return True if all images are the same; others are found in the first ones that differ."""
    first = read_rows(pixels[:1])
    return bool((read_rows(pixels[:2]) == first).all()) and all(
        bool((block == first).all()) for block in row_blocks(pixels)
    )


def alike_note(pixels: Tensor | StoredRows, counts: DataCounts | None) -> str:
    """Describe images (N, C, H, W) that are all alike or nearly of one value; "" for others.

    Values are counted in a sample of the images, evenly spaced.
    """
    if len(pixels) < 2:
        return ""
    is_same = _all_equal(pixels)
    most = max(2, MAX_PROBED // math.prod(pixels.shape[1:]))
    rows = torch.arange(min(most, len(pixels))) * len(pixels) // min(most, len(pixels))
    probe = read_rows(pixels[rows]).flatten()
    found = torch.bincount(probe.long(), minlength=256)
    share = float(found.max()) / len(probe)
    if not is_same and share < ONE_VALUE_SHARE:
        return ""
    text = f"{len(pixels):,} images that are all alike" if is_same else "images nearly of one value"
    text += f": {share:.1%} of their values are {int(found.argmax())}"
    transparent = [
        row for row in (counts.rows if counts else []) if row.reason.startswith(TRANSPARENT)
    ]
    if transparent:
        color = transparent[0].reason.removeprefix(TRANSPARENT).strip()
        other = "black" if color != "black" else "white"
        text += (
            f"; {transparent[0].count:,} have transparent pixels, which became {color}: "
            f"try --background {other}, or --alpha"
        )
    return text


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
