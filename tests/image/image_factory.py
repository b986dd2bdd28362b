"""Images of our own making, written as files."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def random_image(seed: int, side: int = 16) -> Image.Image:
    """Colored noise, smooth enough to survive a JPEG; no two alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BILINEAR)


def content(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def folder_of(
    root: Path, n: int, classes: tuple[str, ...] = ("cat", "dog"), start: int = 0
) -> Path:
    """`n` PNG files, dealt out to one sub-folder for each class; or beside each other."""
    root.mkdir(parents=True, exist_ok=True)
    for k in range(start, start + n):
        place = root / classes[k % len(classes)] if classes else root
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{k:04d}.png").write_bytes(content(random_image(k)))
    return root
