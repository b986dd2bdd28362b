"""Moving pictures about: per-picture affine maps, differentiable twice.

`grid_sample` has no second derivative; here a picture is read by `gather`, which has all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

SHIFT = 1 / 8  # of a side: the largest whole-pixel shift, and the sd of the fractional one
SCALE_SD = 0.2  # of the binary logarithm


def geometric_augment(x: Tensor, chances: Mapping[str, float], rng: torch.Generator) -> Tensor:
    """Each picture (B, C, H, W) moved by those of MOVES whose coin falls; the rest stays as it is.

    A move that stands in ORDER twice has two coins, one of which falls with the chance named. The
    maps are composed first, so that a picture is interpolated once, and one whose pixels fall on
    pixels not at all.
    """
    n, (height, width) = len(x), x.shape[2:]
    whole = torch.eye(3).repeat(n, 1, 1)  # (B, 3, 3): of pixels about the centre, x then y
    for name in (name for name in ORDER if name in chances):
        alone = 1 - (1 - chances[name]) ** (1 / ORDER.count(name))
        coin = torch.rand(n, generator=rng) < alone
        step = GEOMETRIC_OPS[name](n, (height, width), rng)  # (B, 3, 3)
        whole = torch.where(coin[:, None, None], step @ whole, whole)
    if torch.equal(whole, torch.eye(3).expand_as(whole)):
        return x
    return bilinear_gather(x, *_places(torch.linalg.inv(whole), height, width))


def bilinear_gather(x: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Pictures (B, C, H, W) read between their pixels, mirrored beyond the border.

    `down` and `across` (B, H', W') are in pixels, 0 in the middle of the first. -> (B, C, H', W').
    """
    height, width = x.shape[2:]
    top, left = down.floor(), across.floor()
    result = torch.zeros((), dtype=x.dtype, device=x.device)
    for below in (0, 1):
        for right in (0, 1):
            weight = (1 - (down - top - below).abs()) * (1 - (across - left - right).abs())
            row, column = _mirror(top + below, height), _mirror(left + right, width)
            index = (row * width + column).to(x.device).flatten(1)  # (B, H' W')
            index = index[:, None].expand(-1, x.shape[1], -1)  # (B, C, H' W')
            read = x.flatten(2).gather(2, index).unflatten(2, down.shape[1:])
            result = result + weight[:, None].to(x) * read
    return result


def translate(x: Tensor, most: float, rng: torch.Generator) -> Tensor:
    """Each picture shifted by whole pixels, up to `most` (share) of each side; 0 comes in."""
    n, (height, width) = len(x), x.shape[2:]
    shifts = [
        torch.randint(-reach, reach + 1, (n,), generator=rng)
        for reach in (round(most * height), round(most * width))
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


def cutout(x: Tensor, shares: Tensor, rng: torch.Generator) -> Tensor:
    """Each picture with a rectangle of `shares` (B,) of its sides set to 0.

    Its centre is drawn anywhere, so that a part of it may lie outside.
    """
    n, (height, width) = len(x), x.shape[2:]
    centres = torch.rand(2, n, 1, generator=rng)
    rows, columns = (
        ((torch.arange(side) + 0.5) / side - centre).abs() < shares[:, None] / 2
        for side, centre in zip((height, width), centres, strict=True)
    )  # (B, H), (B, W)
    hole = rows[:, :, None] & columns[:, None]  # (B, H, W)
    return x * (~hole)[:, None].to(x)


def _places(back: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each pixel is read: (B, 3, 3) -> rows and columns (B, H, W), in pixels."""
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    y, x = torch.meshgrid(
        torch.arange(height) - middle_y, torch.arange(width) - middle_x, indexing="ij"
    )
    points = torch.stack([x, y, torch.ones_like(x)]).flatten(1)  # (3, H W)
    found = (back @ points).unflatten(2, (height, width))  # (B, 3, H, W)
    near = found.round()  # what is a pixel but for rounding stays one
    snapped = torch.where((found - near).abs() < 1e-4, near, found)
    return snapped[:, 1] + middle_y, snapped[:, 0] + middle_x


def _mirror(place: Tensor, side: int) -> Tensor:
    """Pixel numbers inside 0 .. side - 1, as in two mirrors that stand on the border pixels."""
    if side == 1:
        return torch.zeros_like(place, dtype=torch.long)
    period = 2 * (side - 1)
    folded = place.long() % period
    return torch.where(folded < side, folded, period - folded)


def _affine(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    """(B, 3, 3) with rows (a, b, c), (d, e, f), (0, 0, 1)."""
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


def _flip(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    sign = 1 - 2 * torch.randint(0, 2, (n,), generator=rng).float()
    return _scaling(sign, torch.ones(n))


def _turn(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """By 0, 90, 180 or 270 degrees."""
    return _rotation(torch.randint(0, 4, (n,), generator=rng) * (math.pi / 2)).round()


def _jump(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """By whole pixels."""
    down, across = ((2 * torch.rand(n, generator=rng) - 1) * SHIFT * side for side in size)
    return _shift(across.round(), down.round())


def _zoom(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    factor = torch.exp2(SCALE_SD * torch.randn(n, generator=rng))
    return _scaling(factor, factor)


def _rotate(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    return _rotation((2 * torch.rand(n, generator=rng) - 1) * math.pi)


def _stretch(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Wider and flatter, or the reverse; in other directions between two rotations."""
    factor = torch.exp2(SCALE_SD * torch.randn(n, generator=rng))
    return _scaling(factor, 1 / factor)


def _drift(n: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """By fractions of pixels too."""
    down, across = (SHIFT * side * torch.randn(n, generator=rng) for side in size)
    return _shift(across, down)


GEOMETRIC_OPS: dict[str, Callable[[int, tuple[int, int], torch.Generator], Tensor]] = {
    "flip": _flip,
    "turn": _turn,
    "jump": _jump,
    "zoom": _zoom,
    "rotate": _rotate,
    "stretch": _stretch,
    "drift": _drift,
}
ORDER = ("flip", "turn", "jump", "zoom", "rotate", "stretch", "rotate", "drift")
