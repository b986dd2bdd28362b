"""Memory that decoding an image takes, and decoding large images in strips."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

WEBP = 12  # bytes of a pixel: two canvases of the decoder's, and a copy of one
PPM = 8  # bytes of a pixel that is no plain byte in the file: two buffers of the decoder's
COEFFICIENT = 2  # bytes
SCAN = b"\xff\xda"  # the JPEG marker; a thumbnail has one, too
WIDE, HIGH, BITS, ORIENTATION_TAG = 256, 257, 258, 274  # TIFF tags
SAMPLES, ROWS, TILE_WIDE, TILE_HIGH = 277, 278, 322, 323


def decode_memory(image: ImageFile, content: bytes, area: int) -> int:
    """Bytes, about: its file, its pixels, and what the decoder of its format holds beside them.

    image: opened, not decoded yet, made smaller by `draft`; area: pixels of the file
    """
    held = len(content) + image.width * image.height * _depth(image.mode)
    if isinstance(image, JpegImageFile):
        return held + (_coefficients(image, area) if content.count(SCAN) > 1 else 0)
    if isinstance(image, TiffImageFile):
        return held + _strip(image) + _turned(image)
    if image.format == "WEBP":
        return held + WEBP * area
    codecs = {tile[0] for tile in image.tile} if image.format == "PPM" else set()
    return held + (PPM * area if codecs & {"ppm", "ppm_plain"} else 0)


def _depth(mode: str) -> int:
    """Bytes that Pillow takes for a pixel."""
    if mode in ("1", "L", "P"):
        return 1
    return 2 if mode.startswith("I;16") else 4


def _coefficients(image: JpegImageFile, area: int) -> int:
    """Bytes of the coefficients of every channel: held until the last scan is read."""
    layers = [(across, down) for _, across, down, _ in image.layer]
    most = max(across for across, _ in layers) * max(down for _, down in layers)
    return COEFFICIENT * area * sum(across * down for across, down in layers) // most


def _strip(image: TiffImageFile) -> int:
    """Bytes of one strip or tile as libtiff unpacks it."""
    tags = image.tag_v2
    if image.tile[0][0] != "libtiff":
        return 0
    if TILE_WIDE in tags:
        pixels = tags[TILE_WIDE] * tags[TILE_HIGH]
    else:
        pixels = tags[WIDE] * min(tags.get(ROWS, tags[HIGH]), tags[HIGH])
    bits = max(tags.get(BITS, (1,))) * tags.get(SAMPLES, 1)
    return pixels * max(4, bits // 8)  # 4 where it makes RGBA of it


def _turned(image: TiffImageFile) -> int:
    """Bytes of the copy that Pillow makes where the picture does not stand upright."""
    upright = image.tag_v2.get(ORIENTATION_TAG, 1) == 1
    return 0 if upright else image.width * image.height * _depth(image.mode)


ORIENTATION = 0x0112  # the EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # orientations whose stored rows show as columns
MIRRORED_X = (2, 3, 7, 8)  # ... in which the stored columns come in the other order
MIRRORED_Y = (3, 4, 6, 7)  # ... the stored rows
STRIP = 250_000  # pixels
SUPPORT = 2  # output pixels: how far a bicubic filter sees
BICUBIC = Image.Resampling.BICUBIC
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    """A picture without EXIF, turned as this orientation says."""
    image.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def resize_in_strips(
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
        strip = apply_orientation(plain(image.crop(box)), orientation)
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
