"""Geometric augmentation: per-image affine maps, twice differentiable.

`grid_sample` has no second derivative; bilinear sampling by `gather` has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

SHIFT = (
    1 / 8
)  # of a side: the largest integer translation, and the standard deviation of the fractional one
SCALE_STD = 0.2  # of the binary logarithm


def geometric_augment(
    x: Tensor, probabilities: Mapping[str, float], rng: torch.Generator
) -> Tensor:
    """Apply each of GEOMETRIC_OPS to each image (B, C, H, W) with its probability.

    An operation that is in ORDER twice has the probability that one of both is applied. The maps
    are composed first: an image is interpolated once, and not at all if pixels map to pixels.
    """
    n, (height, width) = len(x), x.shape[2:]
    whole = torch.eye(3).repeat(n, 1, 1)  # (B, 3, 3): in pixels from the center, x then y
    for name in (name for name in ORDER if name in probabilities):
        single = 1 - (1 - probabilities[name]) ** (1 / ORDER.count(name))
        applied = torch.rand(n, generator=rng) < single
        step = GEOMETRIC_OPS[name](n, (height, width), rng)  # (B, 3, 3)
        whole = torch.where(applied[:, None, None], step @ whole, whole)
    if torch.equal(whole, torch.eye(3).expand_as(whole)):
        return x
    return bilinear_gather(x, *_source_positions(torch.linalg.inv(whole), height, width))


def bilinear_gather(x: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Sample images (B, C, H, W) bilinearly, reflected beyond the border -> (B, C, H', W').

    `down` and `across` (B, H', W') are positions in pixels, 0 at the center of the first.
    """
    height, width = x.shape[2:]
    top, left = down.floor(), across.floor()
    result = torch.zeros((), dtype=x.dtype, device=x.device)
    for below in (0, 1):
        for right in (0, 1):
            weight = (1 - (down - top - below).abs()) * (1 - (across - left - right).abs())
            row, column = _reflect(top + below, height), _reflect(left + right, width)
            index = (row * width + column).to(x.device).flatten(1)  # (B, H' W')
            index = index[:, None].expand(-1, x.shape[1], -1)  # (B, C, H' W')
            values = x.flatten(2).gather(2, index).unflatten(2, down.shape[1:])
            result = result + weight[:, None].to(x) * values
    return result


def translate(x: Tensor, max_shift: float, rng: torch.Generator) -> Tensor:
    """Translate each image by whole pixels, up to `max_shift` of each side; zeros outside."""
    n, (height, width) = len(x), x.shape[2:]
    shifts = [
        torch.randint(-reach, reach + 1, (n,), generator=rng)
        for reach in (round(max_shift * height), round(max_shift * width))
    ]
    rows, columns = (
        torch.arange(side) - shift[:, None]
        for side, shift in zip((height, width), shifts, strict=True)
    )  # (B, H), (B, W): where each row and column comes from
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None]  # (B, H, W)
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]
    index = index.flatten(1)[:, None].expand(-1, x.shape[1], -1).to(x.device)
    return x.flatten(2).gather(2, index).unflatten(2, (height, width)) * inside[:, None].to(x)


def cutout(x: Tensor, sizes: Tensor, rng: torch.Generator) -> Tensor:
    """Set a rectangle of `sizes` (B,), as fractions of the sides, to 0 in each image.

    Its center is uniform over the image: a part of the rectangle may be outside.
    """
    n, (height, width) = len(x), x.shape[2:]
    centers = torch.rand(2, n, 1, generator=rng)
    rows, columns = (
        ((torch.arange(side) + 0.5) / side - center).abs() < sizes[:, None] / 2
        for side, center in zip((height, width), centers, strict=True)
    )  # (B, H), (B, W)
    hole = rows[:, :, None] & columns[:, None]  # (B, H, W)
    return x * (~hole)[:, None].to(x)


def _source_positions(back: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the source rows and columns (B, H, W), in pixels, of each pixel."""
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    y, x = torch.meshgrid(
        torch.arange(height) - middle_y, torch.arange(width) - middle_x, indexing="ij"
    )
    points = torch.stack([x, y, torch.ones_like(x)]).flatten(1)  # (3, H W)
    found = (back @ points).unflatten(2, (height, width))  # (B, 3, H, W)
    near = found.round()  # a position that is integer up to rounding stays integer
    snapped = torch.where((found - near).abs() < 1e-4, near, found)
    return snapped[:, 1] + middle_y, snapped[:, 0] + middle_x


def _reflect(position: Tensor, side: int) -> Tensor:
    """Reflect pixel indices at the border pixels into 0 .. side - 1."""
    if side == 1:
        return torch.zeros_like(position, dtype=torch.long)
    period = 2 * (side - 1)
    folded = position.long() % period
    return torch.where(folded < side, folded, period - folded)


def _affine(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    """Build (B, 3, 3) with rows (a, b, c), (d, e, f), (0, 0, 1)."""
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, c, d, e, f, zero, zero, one], 1).unflatten(1, (3, 3))


def _scaling(across: Tensor, down: Tensor) -> Tensor:
    zero = torch.zeros_like(across)
    return _affine(across, zero, zero, zero, down, zero)


def _rotation(angle: Tensor) -> Tensor:
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _affine(cosine, -sine, zero, sine, cosine, zero)


def _shift(across: Tensor, down: Tensor) -> Tensor:
    zero, one = torch.zeros_like(across), torch.ones_like(across)
    return _affine(one, zero, across, zero, one, down)


def _xflip(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    sign = 1 - 2 * torch.randint(0, 2, (n,), generator=rng).float()
    return _scaling(sign, torch.ones(n))


def _rotate90(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Rotate by 0, 90, 180 or 270 degrees."""
    return _rotation(torch.randint(0, 4, (n,), generator=rng) * (math.pi / 2)).round()


def _xint(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Translate by whole pixels."""
    down, across = ((2 * torch.rand(n, generator=rng) - 1) * SHIFT * side for side in size)
    return _shift(across.round(), down.round())


def _scale(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    factor = torch.exp2(SCALE_STD * torch.randn(n, generator=rng))
    return _scaling(factor, factor)


def _rotate(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    return _rotation((2 * torch.rand(n, generator=rng) - 1) * math.pi)


def _aniso(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Scale anisotropically, keeping the area; between two rotations the axis is arbitrary."""
    factor = torch.exp2(SCALE_STD * torch.randn(n, generator=rng))
    return _scaling(factor, 1 / factor)


def _xfrac(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Translate by fractions of pixels."""
    down, across = (SHIFT * side * torch.randn(n, generator=rng) for side in size)
    return _shift(across, down)


GEOMETRIC_OPS: dict[str, Callable[[int, tuple[int, int], torch.Generator], Tensor]] = {
    "xflip": _xflip,
    "rotate90": _rotate90,
    "xint": _xint,
    "scale": _scale,
    "rotate": _rotate,
    "aniso": _aniso,
    "xfrac": _xfrac,
}
ORDER = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "rotate", "xfrac")
