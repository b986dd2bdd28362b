"""One picture file to pixels of the wished size, in worker processes. Imports no torch.

A worker is `python -m multigan.image.formats.decode`: its task comes on standard input as JSON, its
pixels and outcomes go to two files, one picture after the other. So a crash inside a codec ends
only a worker, and what that had finished is kept; and a script of the user's is not run again in
every worker, as multiprocessing would do without its main guard.
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

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # none that starts a program
MAX_PIXELS = 64_000_000  # of one file
MOST_BYTES = 256_000_000  # of one file
MOST_MEMORY = 300_000_000  # bytes: of one file and its pixels while it is decoded
BACKGROUND = (255, 255, 255, 255)  # what shows through transparent pixels
WIDE = 257  # 65,535 / 255: 16 bits to 8
ORIENTATIONS = range(1, 9)  # of EXIF
LARGE = 4_000_000  # pixels: so many are converted in strips
DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


class Size(NamedTuple):
    """Pixels."""

    height: int
    width: int


class SkippedFile(Exception):
    """A file that is not used: `reason` is one of few, to be counted; the text adds to it."""

    def __init__(self, reason: str, more: str = "") -> None:
        super().__init__(f"{reason}: {more}" if more else reason)
        self.reason = reason


@dataclass(frozen=True)
class FileResult:
    """What became of one file: it is used, or skipped for a reason."""

    file: str  # relative to the folder or archive, with "/"
    reason: str = ""  # one of few, to be counted; empty for a used file
    line: str = ""  # the whole explanation
    channels: int = 0  # 1 grey, 3 colour
    digest: str = ""  # of the file's bytes


def decode_files_serially(
    source: str, files: list[str], size: Size
) -> Iterator[tuple[FileResult, bytes]]:
    """What became of each file of a folder or zip archive, and its pixels (C, H, W) as bytes."""
    with contextlib.ExitStack() as stack:
        archive = None
        if not Path(source).is_dir():
            archive = stack.enter_context(zipfile.ZipFile(source))
        for file in files:
            yield decode_one(source, archive, file, size)


def decode_one(
    source: str, archive: zipfile.ZipFile | None, file: str, size: Size
) -> tuple[FileResult, bytes]:
    """What became of one file, and its pixels; nothing that lies in it can raise."""
    try:
        content = _content(source, archive, file)
        pixels = decode(content, size)
    except SkippedFile as error:
        return FileResult(file, error.reason, f"{file}: {error}"), b""
    except Exception as error:  # decoders meet damage in as many ways as there are
        said = " ".join(str(error).split()) or type(error).__name__
        return FileResult(file, "cannot be read", f"{file}: cannot be read: {said[:200]}"), b""
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return FileResult(file, channels=len(pixels), digest=digest), pixels.tobytes()


def _content(source: str, archive: zipfile.ZipFile | None, file: str) -> bytes:
    """The bytes of a file, in memory: an archive is never unpacked to the disk."""
    if archive is None:
        path = Path(source, file)
        check_file_size(path.stat().st_size)
        return path.read_bytes()
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file.replace("\\", "/")).parts:
        raise SkippedFile("path out of the archive")
    check_file_size(archive.getinfo(file).file_size)
    return archive.read(file)


def check_file_size(size_bytes: int) -> None:
    """Raise Unusable for a file of more than MOST_BYTES."""
    if size_bytes > MOST_BYTES:
        raise SkippedFile("too large", f"{size_bytes:,} bytes; wanted {MOST_BYTES:,} or less")


def decode(content: bytes, size: Size) -> np.ndarray:
    """Pixels (C, H, W) uint8 of one file, upright; C is 1 if all of them are grey, else 3.

    Transparent pixels show white, 16 bits become 8 by the fixed range, of an animation the first
    picture is taken. What is not of the wished shape is cut down around its centre, then scaled.
    Raises Unusable, also where it would take too much memory, or whatever the decoder makes of
    damaged bytes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are looked at below
        with _opened(content) as image:
            wide, high = image.size
            if wide * high > MAX_PIXELS:
                more = f"{wide:,} x {high:,} pixels; wanted {MAX_PIXELS:,} or fewer in all"
                raise SkippedFile("too large", more)
            image.draft("RGB", (2 * size.width, 2 * size.height))  # a JPEG is read at 1/2 .. 1/8
            if (needed := decode_memory(image, content, wide * high)) > MOST_MEMORY:
                more = f"{wide:,} x {high:,} pixels take {needed:,} bytes to decode"
                raise SkippedFile("too large", f"{more}; wanted {MOST_MEMORY:,} or less")
            fitted = _fitted(image, size)
    array = np.asarray(fitted).reshape(size.height, size.width, -1)  # (H, W, C)
    grey = bool((array == array[:, :, :1]).all())
    return np.ascontiguousarray(array[:, :, :1] if grey else array).transpose(2, 0, 1).copy()


def _opened(content: bytes) -> ImageFile:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:  # its own words name a place in memory
        said = "no picture of a known format" if content else "it is empty"
        raise SkippedFile("cannot be read", said) from None
    except Image.DecompressionBombError:  # Pillow's own limit, far above ours
        raise SkippedFile("too large", "far more pixels than any photograph") from None


def _fitted(image: Image.Image, size: Size) -> Image.Image:
    """The picture as L or RGB, upright, cut around its centre and scaled."""
    if image.mode == "F":
        raise SkippedFile("floating-point values", "their range is not known")
    image.load()  # a TIFF is turned by it
    stated = image.getexif().get(ORIENTATION)
    orientation = stated if isinstance(stated, int) and stated in ORIENTATIONS else 1
    wanted = (size.width, size.height)
    if image.width * image.height > LARGE:
        return resize_in_strips(image, wanted, _plain, orientation)
    return ImageOps.fit(
        apply_orientation(_plain(image), orientation), wanted, Image.Resampling.BICUBIC
    )


def _plain(image: Image.Image) -> Image.Image:
    """The picture, or a strip of it, as L or RGB without EXIF."""
    if image.mode in DEEP_MODES:
        deep = np.asarray(image).astype(np.int64).clip(0, 65_535)
        plain = Image.fromarray((deep / WIDE).round().astype(np.uint8))
    elif "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        shown = image.convert("RGBA")
        paper = Image.new("RGBA", shown.size, BACKGROUND)
        plain = Image.alpha_composite(paper, shown).convert("RGB")
    else:
        plain = image.convert("L" if image.mode in ("1", "L") else "RGB")
    plain.info = {}
    return plain


def worker_main(task: dict) -> None:
    """Decode the files of a task; the outcome of each is a line, written after its pixels."""
    with Path(task["pixels"]).open("wb") as pixels, Path(task["outcomes"]).open("wb") as outcomes:
        for outcome, content in decode_files_serially(
            task["source"], task["files"], Size(*task["size"])
        ):
            pixels.write(content)
            pixels.flush()
            outcomes.write(json.dumps(asdict(outcome)).encode() + b"\n")
            outcomes.flush()


if __name__ == "__main__":
    worker_main(json.load(sys.stdin))
