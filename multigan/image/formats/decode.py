"""Decoding of image files to one size, in this process or in a worker. Imports no torch.

A worker is `python -m multigan.image.formats.decode`: it reads its task from standard input as JSON
and writes pixels and results to two files, image by image. A crash inside a codec ends only the
worker, and its finished files are used. Unlike multiprocessing, a worker never runs the script of
the user again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from multigan.image.formats.large_images import (
    ORIENTATION,
    apply_orientation,
    decode_memory,
    resize_in_strips,
)

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # none starts another program
MAX_PIXELS = 64_000_000  # of one file
MAX_FILE_BYTES = 256_000_000  # of one file
MAX_DECODE_BYTES = 300_000_000  # of one file and its pixels during decoding
BACKGROUND = (255, 255, 255, 255)  # of transparent pixels
RATIO_16_TO_8_BITS = 257  # 65,535 / 255
ORIENTATIONS = range(1, 9)  # of EXIF
STRIP_THRESHOLD_PIXELS = 4_000_000  # larger images are converted in strips
DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


class Size(NamedTuple):
    """The size of an image in pixels."""

    height: int
    width: int


class SkippedFile(Exception):
    """An unusable file: `reason` is one of a few categories, the message adds details."""

    def __init__(self, reason: str, more: str = "") -> None:
        super().__init__(f"{reason}: {more}" if more else reason)
        self.reason = reason


@dataclass(frozen=True)
class FileResult:
    """The result of decoding one file: used, or skipped for a reason."""

    file: str  # relative to the folder or archive, with "/"
    reason: str = ""  # category; empty for a used file
    message: str = ""  # the full explanation
    channels: int = 0  # 1 grayscale, 3 color
    digest: str = ""  # of the file's bytes


def decode_files(source: str, files: list[str], size: Size) -> Iterator[tuple[FileResult, bytes]]:
    """Decode each file of a folder or zip archive to its result and pixels (C, H, W) as bytes."""
    with contextlib.ExitStack() as stack:
        archive = None
        if not Path(source).is_dir():
            archive = stack.enter_context(zipfile.ZipFile(source))
        for file in files:
            yield decode_one(source, archive, file, size)


def decode_one(
    source: str, archive: zipfile.ZipFile | None, file: str, size: Size
) -> tuple[FileResult, bytes]:
    """Decode one file to its result and pixels; no content of a file raises."""
    try:
        content = _content(source, archive, file)
        pixels = decode(content, size)
    except SkippedFile as error:
        return FileResult(file, error.reason, f"{file}: {error}"), b""
    except Exception as error:  # third-party decoders raise arbitrary exceptions
        text = " ".join(str(error).split()) or type(error).__name__
        return FileResult(file, "cannot be read", f"{file}: cannot be read: {text[:200]}"), b""
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return FileResult(file, channels=len(pixels), digest=digest), pixels.tobytes()


def _content(source: str, archive: zipfile.ZipFile | None, file: str) -> bytes:
    """Read a file into memory: an archive is never extracted to disk."""
    if archive is None:
        path = Path(source, file)
        check_file_size(path.stat().st_size)
        return path.read_bytes()
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file.replace("\\", "/")).parts:
        raise SkippedFile("path outside the archive")
    check_file_size(archive.getinfo(file).file_size)
    return archive.read(file)


def check_file_size(size_bytes: int) -> None:
    """Raise SkippedFile for a file of more than MAX_FILE_BYTES."""
    if size_bytes > MAX_FILE_BYTES:
        raise SkippedFile(
            "too large", f"must have {MAX_FILE_BYTES:,} bytes or fewer; got {size_bytes:,}"
        )


def decode(content: bytes, size: Size) -> np.ndarray:
    """Decode one file to pixels (C, H, W) uint8; C is 1 if all pixels are gray, else 3.

    The EXIF orientation is applied, transparent pixels become white, 16 bits become 8 by the fixed
    range, and of an animation the first frame is taken. Other aspect ratios are center-cropped
    before scaling. Raises SkippedFile, also for excessive memory, or any exception of the decoder.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata, and about sizes, which are checked below
        with _open(content) as image:
            wide, high = image.size
            if wide * high > MAX_PIXELS:
                more = f"must have {MAX_PIXELS:,} pixels or fewer; got {wide:,} x {high:,}"
                raise SkippedFile("too large", more)
            image.draft("RGB", (2 * size.width, 2 * size.height))  # a JPEG is decoded at 1/2 .. 1/8
            if (needed := decode_memory(image, content, wide * high)) > MAX_DECODE_BYTES:
                more = f"must need {MAX_DECODE_BYTES:,} bytes or fewer to decode; got {needed:,}"
                raise SkippedFile("too large", f"{more} for {wide:,} x {high:,} pixels")
            fitted = _fit(image, size)
    array = np.asarray(fitted).reshape(size.height, size.width, -1)  # (H, W, C)
    gray = bool((array == array[:, :, :1]).all())
    return np.ascontiguousarray(array[:, :, :1] if gray else array).transpose(2, 0, 1).copy()


def _open(content: bytes) -> ImageFile:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:  # its own message has a memory address
        text = "no image of a known format" if content else "it is empty"
        raise SkippedFile("cannot be read", text) from None
    except Image.DecompressionBombError:  # the limit of Pillow, far above ours
        raise SkippedFile("too large", "more pixels than the limit of Pillow") from None


def _fit(image: Image.Image, size: Size) -> Image.Image:
    """Convert to L or RGB, apply the orientation, center-crop and scale."""
    if image.mode == "F":
        raise SkippedFile("floating-point values", "their range is not known")
    image.load()  # applies the orientation of a TIFF
    tag = image.getexif().get(ORIENTATION)
    orientation = tag if isinstance(tag, int) and tag in ORIENTATIONS else 1
    target = (size.width, size.height)
    if image.width * image.height > STRIP_THRESHOLD_PIXELS:
        return resize_in_strips(image, target, _to_l_or_rgb, orientation)
    return ImageOps.fit(
        apply_orientation(_to_l_or_rgb(image), orientation), target, Image.Resampling.BICUBIC
    )


def _to_l_or_rgb(image: Image.Image) -> Image.Image:
    """Convert an image, or a strip of it, to L or RGB without EXIF."""
    if image.mode in DEEP_MODES:
        deep = np.asarray(image).astype(np.int64).clip(0, 65_535)
        converted = Image.fromarray((deep / RATIO_16_TO_8_BITS).round().astype(np.uint8))
    elif "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, BACKGROUND)
        converted = Image.alpha_composite(background, rgba).convert("RGB")
    else:
        converted = image.convert("L" if image.mode in ("1", "L") else "RGB")
    converted.info = {}
    return converted


def worker_main(task: dict) -> None:
    """Decode the files of a task; the result of each is a line of JSON, after its pixels."""
    with Path(task["pixels"]).open("wb") as pixels, Path(task["results"]).open("wb") as results:
        for result, content in decode_files(task["source"], task["files"], Size(*task["size"])):
            pixels.write(content)
            pixels.flush()
            results.write(json.dumps(asdict(result)).encode() + b"\n")
            results.flush()


if __name__ == "__main__":
    worker_main(json.load(sys.stdin))
