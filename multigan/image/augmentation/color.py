"""Color augmentation: per-image affine maps of the color channels.

Hue and saturation do not change grayscale images; brightness, contrast and lumaflip do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

BRIGHTNESS_STD = 0.2
CONTRAST_STD, SATURATION_STD = 0.5, 1.0  # of the binary logarithm


def color_augment(x: Tensor, probabilities: Mapping[str, float], rng: torch.Generator) -> Tensor:
    """Apply each of COLOR_OPS to each image (B, C, H, W), C 1 or 3, with its probability.

    Of four channels the last is alpha, which stays.
    """
    if x.shape[1] == 4:
        return torch.cat([color_augment(x[:, :3], probabilities, rng), x[:, 3:]], 1)
    n = len(x)
    whole = torch.eye(4).repeat(n, 1, 1)  # (B, 4, 4): of red, green, blue and 1
    for name, probability in probabilities.items():
        applied = torch.rand(n, generator=rng) < probability
        step = COLOR_OPS[name](n, rng)  # (B, 4, 4)
        whole = torch.where(applied[:, None, None], step @ whole, whole)
    if x.shape[1] == 1:  # a gray image stays gray: the mean of three equal channels
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
    """Return the projection (3, 3) onto the luma axis."""
    return torch.full((3, 3), 1 / 3)


def _brightness(n: int, rng: torch.Generator) -> Tensor:
    whole = torch.eye(4).repeat(n, 1, 1)
    whole[:, :3, 3] = BRIGHTNESS_STD * torch.randn(n, 1, generator=rng)
    return whole


def _contrast(n: int, rng: torch.Generator) -> Tensor:
    factor = torch.exp2(CONTRAST_STD * torch.randn(n, 1, 1, generator=rng))
    return _scaled(factor * torch.eye(3))


def _lumaflip(n: int, rng: torch.Generator) -> Tensor:
    """Reflect the luma axis and keep the hue, in half of the cases."""
    flips = torch.randint(0, 2, (n, 1, 1), generator=rng)
    return _scaled(torch.eye(3) - 2 * flips * _luma())


def _hue(n: int, rng: torch.Generator) -> Tensor:
    """Rotate about the luma axis by any angle (Rodrigues' formula)."""
    angle = ((2 * torch.rand(n, generator=rng) - 1) * math.pi)[:, None, None]
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return _scaled(angle.cos() * torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * _luma())


def _saturation(n: int, rng: torch.Generator) -> Tensor:
    factor = torch.exp2(SATURATION_STD * torch.randn(n, 1, 1, generator=rng))
    return _scaled(_luma() + factor * (torch.eye(3) - _luma()))


COLOR_OPS: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "lumaflip": _lumaflip,
    "hue": _hue,
    "saturation": _saturation,
}
