"""Image grids, PNG encoding and animations."""

from __future__ import annotations

import io
import math
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from multigan.image.formats.decode import MARK
from multigan.image.spec import MODES, ImageSpec
from multigan.storage.files import write_atomically

MIN_TILE_PIXELS = 64  # a grid enlarges smaller images to about this side
MAX_CLASS_COLUMNS = 16  # of a grid with few samples of each class
GAP = 2  # pixels between the images of a grid
BACKGROUND = 255  # gray level of the gaps
FRAME_MS = 120  # duration of a frame
END_FRAME_MS = 600  # duration of the first and the last frame


def image_grid(rows: list[list[Image.Image]], spec: ImageSpec) -> Image.Image:
    """Arrange rows of images in one image, each enlarged by a whole factor."""
    factor = max(1, MIN_TILE_PIXELS // max(spec.height, spec.width))
    wide, high = spec.width * factor + GAP, spec.height * factor + GAP
    size = (wide * max(map(len, rows), default=0) + GAP, high * len(rows) + GAP)
    grid = Image.new(MODES[spec.channels], size, (BACKGROUND,) * spec.channels)
    for down, row in enumerate(rows):
        for across, sample in enumerate(row):
            tile = sample.resize((wide - GAP, high - GAP), Image.Resampling.NEAREST)
            grid.paste(tile, (GAP + across * wide, GAP + down * high))
    grid.info[MARK] = "grid"
    return grid


def enlarge(image: Image.Image, factor: int) -> Image.Image:
    """Return an image with each pixel repeated `factor` times in both directions."""
    size = (image.width * factor, image.height * factor)
    return image.resize(size, Image.Resampling.NEAREST)


def write_animation(frames: list[Image.Image], file: Path) -> None:
    """Write frames of one size as an animated PNG that loops forward and backward."""
    loop = [*frames, *frames[-2:0:-1]]
    durations = [FRAME_MS] * len(loop)
    durations[0] = durations[len(frames) - 1] = END_FRAME_MS
    content = io.BytesIO()
    first, *rest = loop
    info = PngInfo()
    info.add_text(MARK, "animation")
    first.save(
        content,
        format="PNG",
        pnginfo=info,
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
    )
    write_atomically(file, content.getvalue())


def grid_rows_by_class(samples: list[Image.Image]) -> list[list[Image.Image]]:
    """Arrange samples in one row per class if several classes repeat, else in about a square.

    The classes are in the order of their first appearance. More classes than samples of each make
    one column per class instead, so that the image is not higher than wide. Where these columns
    would be too many, or a class is larger than one before it, the samples of each class follow
    those of the one before in about a square.
    """
    groups: dict[str, list[Image.Image]] = {}
    for sample in samples:
        groups.setdefault(sample.info.get("label", ""), []).append(sample)
    square = math.ceil(math.sqrt(len(samples)))
    sizes = [len(group) for group in groups.values()]
    longest = max(sizes, default=0)
    if longest <= 1 or len(groups) == 1:
        return chunk(samples, square)
    if longest >= len(groups):
        return [row for group in groups.values() for row in chunk(group, min(longest, 2 * square))]
    are_aligned = sizes == sorted(sizes, reverse=True)  # each row is a prefix of the one above
    if are_aligned and len(groups) <= max(2 * square, MAX_CLASS_COLUMNS):
        return [[g[k] for g in groups.values() if k < len(g)] for k in range(longest)]
    return chunk([sample for group in groups.values() for sample in group], square)


def chunk(samples: list[Image.Image], columns: int) -> list[list[Image.Image]]:
    """Split samples into rows of `columns`; the last may be shorter."""
    return [samples[i : i + columns] for i in range(0, len(samples), columns or 1)]


def encode_png(image: Image.Image) -> bytes:
    """Encode a PNG with the class name in the text chunk `label`; the bytes are deterministic.

    A grid carries the chunk MARK, so that it is never read as data.
    """
    info = PngInfo()
    for key in ("label", MARK):
        if key in image.info:
            info.add_text(key, image.info[key])
    content = io.BytesIO()
    image.save(content, format="PNG", pnginfo=info)
    return content.getvalue()


def save_png(image: Image.Image, file: Path) -> None:
    """Write a PNG atomically."""
    write_atomically(file, encode_png(image))
