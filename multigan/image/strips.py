"""A large picture cut around its centre and scaled, of which only strips are converted at a time.

What comes back is what `ImageOps.fit` makes of the whole picture: its two passes, first along the
rows and then along the columns, do not care how many rows are there. Where a picture is far taller
than wanted, Pillow 13 may take the columns first: then the two differ by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image, ImageOps

ORIENTATION = 0x0112  # the EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # orientations whose stored rows show as columns
MIRRORED_X = (2, 3, 7, 8)  # ... in which the stored columns come in the other order
MIRRORED_Y = (3, 4, 6, 7)  # ... the stored rows
STRIP = 250_000  # pixels
SUPPORT = 2  # output pixels: how far a bicubic filter sees
BICUBIC = Image.Resampling.BICUBIC

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """A picture without EXIF, turned as this orientation says."""
    image.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def fit_in_strips(
    image: Image.Image,
    size: tuple[int, int],
    plain: Callable[[Image.Image], Image.Image],
    orientation: int,
) -> Image.Image:
    """The picture upright, cut and scaled to `size` (width, height); `plain` converts each strip.

    Raises what the decoder and `plain` do.
    """
    image.load()
    wide, high = image.size[::-1] if orientation in SIDEWAYS else image.size
    left, top, right, bottom = _centre(wide, high, size)
    x0, x1 = _seen(left, right, size[0], wide)
    y0, y1 = _seen(top, bottom, size[1], high)
    rows = max(1, STRIP // (x1 - x0))
    strips = []
    for y in range(y0, y1, rows):
        box = _stored((x0, y, x1, min(y + rows, y1)), orientation, image.size)
        strip = upright(plain(image.crop(box)), orientation)
        along = (left - x0, 0, right - x0, strip.height)
        strips.append(strip.resize((size[0], strip.height), BICUBIC, box=along))
    narrow = Image.new(strips[0].mode, (size[0], y1 - y0))
    for k, strip in enumerate(strips):
        narrow.paste(strip, (0, k * rows))
    return narrow.resize(size, BICUBIC, box=(0, top - y0, size[0], bottom - y0))


def _centre(wide: int, high: int, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest box around the centre that has the shape of `size`, as `ImageOps.fit` has it."""
    ratio = size[0] / size[1]
    across, down = float(wide), float(high)
    if wide / high >= ratio:
        across = ratio * high
    else:
        down = wide / ratio
    left, top = (wide - across) * 0.5, (high - down) * 0.5
    return left, top, left + across, top + down


def _seen(start: float, end: float, wanted: int, there: int) -> tuple[int, int]:
    """The pixels that matter for `wanted` ones between `start` and `end`, of `there` in all."""
    reach = SUPPORT * max(1.0, (end - start) / wanted) + 1
    return max(0, math.floor(start - reach)), min(there, math.ceil(end + reach))


def _stored(box: Box, orientation: int, size: tuple[int, int]) -> Box:
    """Where a box of the upright picture lies in the stored one of this size."""
    x0, y0, x1, y1 = box
    if orientation in SIDEWAYS:
        x0, y0, x1, y1 = y0, x0, y1, x1
    if orientation in MIRRORED_X:
        x0, x1 = size[0] - x1, size[0] - x0
    if orientation in MIRRORED_Y:
        y0, y1 = size[1] - y1, size[1] - y0
    return x0, y0, x1, y1
