"""Moving pictures: animated PNG, which browsers play and other programs show the first page of."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from multigan.files import write_atomically

PAGE_MS = 120  # how long a page stands
END_MS = 600  # the first and the last one


def write_moving(pages: list[Image.Image], file: Path) -> None:
    """Write pages of one size as an animated PNG, there and back again for ever."""
    there_and_back = [*pages, *pages[-2:0:-1]]
    stands = [PAGE_MS] * len(there_and_back)
    stands[0] = stands[len(pages) - 1] = END_MS
    content = io.BytesIO()
    first, *rest = there_and_back
    first.save(content, format="PNG", save_all=True, append_images=rest, duration=stands, loop=0)
    write_atomically(file, content.getvalue())
