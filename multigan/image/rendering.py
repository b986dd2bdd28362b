"""Image grids, PNG encoding and animations."""

from __future__ import annotations

import io
import math
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from multigan.storage.files import write_atomically

PAGE_MS = 120  # how long a page stands
END_MS = 600  # the first and the last one


def write_animation(pages: list[Image.Image], file: Path) -> None:
    """Write pages of one size as an animated PNG, there and back again for ever."""
    there_and_back = [*pages, *pages[-2:0:-1]]
    stands = [PAGE_MS] * len(there_and_back)
    stands[0] = stands[len(pages) - 1] = END_MS
    content = io.BytesIO()
    first, *rest = there_and_back
    first.save(content, format="PNG", save_all=True, append_images=rest, duration=stands, loop=0)
    write_atomically(file, content.getvalue())


def grid_rows_by_class(samples: list[Image.Image]) -> list[list[Image.Image]]:
    """A row per class if several were drawn, each more than once; else about a square.

    The classes stand in the order in which they first appear.
    """
    groups: dict[str, list[Image.Image]] = {}
    for sample in samples:
        groups.setdefault(sample.info.get("label", ""), []).append(sample)
    square = math.ceil(math.sqrt(len(samples)))
    longest = max(map(len, groups.values()), default=0)
    if longest <= 1 or len(groups) == 1:
        return chunk(samples, square)
    return [row for group in groups.values() for row in chunk(group, min(longest, 2 * square))]


def chunk(samples: list[Image.Image], columns: int) -> list[list[Image.Image]]:
    """Rows of `columns` samples; the last may be shorter."""
    return [samples[i : i + columns] for i in range(0, len(samples), columns or 1)]


def encode_png(image: Image.Image) -> bytes:
    """A PNG, with the class in the text chunk `label`; its bytes depend on the picture alone."""
    info = PngInfo()
    if "label" in image.info:
        info.add_text("label", image.info["label"])
    content = io.BytesIO()
    image.save(content, format="PNG", pnginfo=info)
    return content.getvalue()


def save_png(image: Image.Image, file: Path) -> None:
    """Write a PNG whole or not at all."""
    write_atomically(file, encode_png(image))
