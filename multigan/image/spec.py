"""The specification of one image, and conversions between [-1, 1] and bytes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from multigan.core.protocols import Batch

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # channels -> PIL mode


@dataclass(frozen=True)
class ImageSpec:
    """Images (C, H, W) in [-1, 1], grayscale, RGB or RGBA; with class names they have labels (B,).

    Raises ValueError if `channels` is not 1, 3 or 4.
    """

    channels: int
    height: int
    width: int
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise ValueError(
                f"channels must be 1 (grayscale), 3 (RGB) or 4 (RGBA); got {self.channels}"
            )

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


def on_white(x: Tensor) -> Tensor:
    """Show RGBA images (B, 4, H, W) in [-1, 1] on white: (B, 3, H, W); others stay."""
    if x.shape[1] != 4:
        return x
    alpha = (x[:, 3:] + 1) / 2
    return alpha * x[:, :3] + (1 - alpha)


def quantize(images: Batch) -> Batch:
    """Round images to the values that a PNG file can hold."""
    return Batch(from_uint8(to_uint8(images.x)), images.condition)
