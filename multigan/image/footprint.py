"""How much memory one picture file takes while it is decoded, known before it is."""

from __future__ import annotations

from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

WEBP = 12  # bytes of a pixel: two canvases of the decoder's, and a copy of one
PPM = 8  # bytes of a pixel that is no plain byte in the file: two buffers of the decoder's
COEFFICIENT = 2  # bytes
SCAN = b"\xff\xda"  # the JPEG marker; a thumbnail has one, too
WIDE, HIGH, BITS, ORIENTATION = 256, 257, 258, 274  # TIFF tags
SAMPLES, ROWS, TILE_WIDE, TILE_HIGH = 277, 278, 322, 323


def footprint(image: ImageFile, content: bytes, area: int) -> int:
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
    upright = image.tag_v2.get(ORIENTATION, 1) == 1
    return 0 if upright else image.width * image.height * _depth(image.mode)
