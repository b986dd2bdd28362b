"""Numbers in [-1, 1] and the bytes that files keep of them."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.protocols import Batch


def to_uint8(x: Tensor) -> Tensor:
    """Values in [-1, 1], clamped, as uint8 of the same shape: the range is fixed."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_uint8(pixels: Tensor) -> Tensor:
    """uint8 as float32 in [-1, 1]: the inverse of `to_bytes`."""
    return pixels.float() / 127.5 - 1


def quantize(pictures: Batch) -> Batch:
    """The same pictures as a PNG file would keep them."""
    return Batch(from_uint8(to_uint8(pictures.x)), pictures.condition)
