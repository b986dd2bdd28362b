"""Recolouring pictures: per-picture affine maps of the colour axis.

Grey pictures know brightness, contrast and the luma flip only; hue and saturation leave them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

BRIGHTNESS_SD = 0.2
CONTRAST_SD, SATURATION_SD = 0.5, 1.0  # of the binary logarithm


def color_augment(x: Tensor, chances: Mapping[str, float], rng: torch.Generator) -> Tensor:
    """Each picture (B, C, H, W), C 1 or 3, changed by those of COLOURS whose coin falls."""
    n = len(x)
    whole = torch.eye(4).repeat(n, 1, 1)  # (B, 4, 4): of red, green, blue and 1
    for name, chance in chances.items():
        coin = torch.rand(n, generator=rng) < chance
        step = COLOR_OPS[name](n, rng)  # (B, 4, 4)
        whole = torch.where(coin[:, None, None], step @ whole, whole)
    if x.shape[1] == 1:  # a grey picture stays grey: the mean of three equal channels
        matrix, offset = whole[:, :3, :3].sum((1, 2))[:, None, None] / 3, whole[:, :3, 3:].mean(1)
        return matrix[..., None].to(x) * x + offset[:, :, None, None].to(x)
    matrix, offset = whole[:, :3, :3].to(x), whole[:, :3, 3:].to(x)
    return (matrix @ x.flatten(2) + offset).unflatten(2, x.shape[2:])


def _scaled(matrix: Tensor) -> Tensor:
    """(B, 3, 3) -> (B, 4, 4)."""
    whole = torch.eye(4).repeat(len(matrix), 1, 1)
    whole[:, :3, :3] = matrix
    return whole


def _luma() -> Tensor:
    """The projection (3, 3) onto the grey axis."""
    return torch.full((3, 3), 1 / 3)


def _brightness(n: int, rng: torch.Generator) -> Tensor:
    whole = torch.eye(4).repeat(n, 1, 1)
    whole[:, :3, 3] = BRIGHTNESS_SD * torch.randn(n, 1, generator=rng)
    return whole


def _contrast(n: int, rng: torch.Generator) -> Tensor:
    factor = torch.exp2(CONTRAST_SD * torch.randn(n, 1, 1, generator=rng))
    return _scaled(factor * torch.eye(3))


def _luma_flip(n: int, rng: torch.Generator) -> Tensor:
    """Light and dark exchanged, hue kept: the grey axis mirrored, in half of the draws."""
    flips = torch.randint(0, 2, (n, 1, 1), generator=rng)
    return _scaled(torch.eye(3) - 2 * flips * _luma())


def _hue(n: int, rng: torch.Generator) -> Tensor:
    """A rotation about the grey axis by any angle (Rodrigues' formula)."""
    angle = ((2 * torch.rand(n, generator=rng) - 1) * math.pi)[:, None, None]
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return _scaled(angle.cos() * torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * _luma())


def _saturation(n: int, rng: torch.Generator) -> Tensor:
    factor = torch.exp2(SATURATION_SD * torch.randn(n, 1, 1, generator=rng))
    return _scaled(_luma() + factor * (torch.eye(3) - _luma()))


COLOR_OPS: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "luma_flip": _luma_flip,
    "hue": _hue,
    "saturation": _saturation,
}
