"""The specification of one image, and conversions between [-1, 1] and bytes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from multigan.core.protocols import Batch

MODES = {1: "L", 3: "RGB"}  # channels -> PIL mode


@dataclass(frozen=True)
class ImageSpec:
    """Images (C, H, W) in [-1, 1], grayscale or RGB; with class names they have labels (B,).

    Raises ValueError if `channels` is neither 1 nor 3.
    """

    channels: int
    height: int
    width: int
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise ValueError(f"channels must be 1 (grayscale) or 3 (RGB); got {self.channels}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return (self.channels, self.height, self.width)

    @property
    def resolution(self) -> int | tuple[int, int]:
        """The side of square images, else (height, width): the argument of the networks."""
        return self.height if self.height == self.width else (self.height, self.width)

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 without labels."""
        return len(self.class_names)


def to_uint8(x: Tensor) -> Tensor:
    """Convert values in [-1, 1], clamped, to uint8 of the same shape; the range is fixed."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_uint8(pixels: Tensor) -> Tensor:
    """Convert uint8 to float32 in [-1, 1]: the inverse of `to_uint8`."""
    return pixels.float() / 127.5 - 1


def quantize(images: Batch) -> Batch:
    """Round images to the values that a PNG file can hold."""
    return Batch(from_uint8(to_uint8(images.x)), images.condition)
