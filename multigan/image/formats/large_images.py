"""Memory estimates for decoding, and resizing of large images in strips."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

WEBP_BYTES = 12  # per pixel: two canvases of the decoder, and a copy of one
PPM_BYTES = 8  # per pixel that is not one byte in the file: two buffers of the decoder
COEFFICIENT_BYTES = 2
SCAN_MARKER = b"\xff\xda"  # of JPEG; a thumbnail has one, too
WIDE, HIGH, BITS, ORIENTATION_TAG = 256, 257, 258, 274  # TIFF tags
SAMPLES, ROWS, TILE_WIDE, TILE_HIGH = 277, 278, 322, 323


def decode_memory(image: ImageFile, content: bytes, area: int) -> int:
    """Estimate the bytes of the file, the pixels and the buffers of the decoder of its format.

    image: opened, not decoded yet, reduced by `draft`; area: number of pixels in the file
    """
    held = len(content) + image.width * image.height * _depth(image.mode)
    if isinstance(image, JpegImageFile):
        return held + (_coefficients(image, area) if content.count(SCAN_MARKER) > 1 else 0)
    if isinstance(image, TiffImageFile):
        return held + _strip_bytes(image) + _transposed_bytes(image)
    if image.format == "WEBP":
        return held + WEBP_BYTES * area
    codecs = {tile[0] for tile in image.tile} if image.format == "PPM" else set()
    return held + (PPM_BYTES * area if codecs & {"ppm", "ppm_plain"} else 0)


def _depth(mode: str) -> int:
    """Return the bytes per pixel in Pillow."""
    if mode in ("1", "L", "P"):
        return 1
    return 2 if mode.startswith("I;16") else 4


def _coefficients(image: JpegImageFile, area: int) -> int:
    """Return the bytes of the coefficients of all channels: in memory until the last scan."""
    layers = [(across, down) for _, across, down, _ in image.layer]
    most = max(across for across, _ in layers) * max(down for _, down in layers)
    return COEFFICIENT_BYTES * area * sum(across * down for across, down in layers) // most


def _strip_bytes(image: TiffImageFile) -> int:
    """Return the bytes of one strip or tile as libtiff decodes it."""
    tags = image.tag_v2
    if image.tile[0][0] != "libtiff":
        return 0
    if TILE_WIDE in tags:
        pixels = tags[TILE_WIDE] * tags[TILE_HIGH]
    else:
        pixels = tags[WIDE] * min(tags.get(ROWS, tags[HIGH]), tags[HIGH])
    bits = max(tags.get(BITS, (1,))) * tags.get(SAMPLES, 1)
    return pixels * max(4, bits // 8)  # 4 if it converts to RGBA


def _transposed_bytes(image: TiffImageFile) -> int:
    """Return the bytes of the copy that Pillow makes to apply the orientation."""
    upright = image.tag_v2.get(ORIENTATION_TAG, 1) == 1
    return 0 if upright else image.width * image.height * _depth(image.mode)


ORIENTATION = 0x0112  # the EXIF tag
TRANSPOSED = (5, 6, 7, 8)  # orientations whose stored rows are displayed as columns
MIRRORED_X = (2, 3, 7, 8)  # ... whose stored columns are reversed
MIRRORED_Y = (3, 4, 6, 7)  # ... whose stored rows are reversed
STRIP_PIXELS = 250_000
SUPPORT = 2  # output pixels: the radius of the bicubic filter
BICUBIC = Image.Resampling.BICUBIC
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    """Apply an EXIF orientation to an image without EXIF."""
    image.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def resize_in_strips(
    image: Image.Image,
    size: tuple[int, int],
    convert: Callable[[Image.Image], Image.Image],
    orientation: int,
) -> Image.Image:
    """Orient, center-crop and scale to `size` (width, height); `convert` converts each strip.

    Raises the exceptions of the decoder and of `convert`.
    """
    image.load()
    wide, high = image.size[::-1] if orientation in TRANSPOSED else image.size
    left, top, right, bottom = _center_crop_box(wide, high, size)
    x0, x1 = _input_range(left, right, size[0], wide)
    y0, y1 = _input_range(top, bottom, size[1], high)
    rows = max(1, STRIP_PIXELS // (x1 - x0))
    strips = []
    for y in range(y0, y1, rows):
        box = _stored_box((x0, y, x1, min(y + rows, y1)), orientation, image.size)
        strip = apply_orientation(convert(image.crop(box)), orientation)
        along = (left - x0, 0, right - x0, strip.height)
        strips.append(strip.resize((size[0], strip.height), BICUBIC, box=along))
    narrow = Image.new(strips[0].mode, (size[0], y1 - y0))
    for k, strip in enumerate(strips):
        narrow.paste(strip, (0, k * rows))
    return narrow.resize(size, BICUBIC, box=(0, top - y0, size[0], bottom - y0))


def _center_crop_box(
    wide: int, high: int, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return the largest centered box with the aspect ratio of `size`, as `ImageOps.fit` does."""
    ratio = size[0] / size[1]
    across, down = float(wide), float(high)
    if wide / high >= ratio:
        across = ratio * high
    else:
        down = wide / ratio
    left, top = (wide - across) * 0.5, (high - down) * 0.5
    return left, top, left + across, top + down


def _input_range(start: float, end: float, outputs: int, inputs: int) -> tuple[int, int]:
    """Return the range of `inputs` pixels that `outputs` pixels from `start` to `end` depend on."""
    reach = SUPPORT * max(1.0, (end - start) / outputs) + 1
    return max(0, math.floor(start - reach)), min(inputs, math.ceil(end + reach))


def _stored_box(box: Box, orientation: int, size: tuple[int, int]) -> Box:
    """Map a box of the oriented image to the stored one of this size."""
    x0, y0, x1, y1 = box
    if orientation in TRANSPOSED:
        x0, y0, x1, y1 = y0, x0, y1, x1
    if orientation in MIRRORED_X:
        x0, x1 = size[0] - x1, size[0] - x0
    if orientation in MIRRORED_Y:
        y0, y1 = size[1] - y1, size[1] - y0
    return x0, y0, x1, y1
