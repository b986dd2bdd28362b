"""Decoding of image files to one size, in this process or in a worker. Imports no torch.

A worker is `python -m multigan.image.formats.decode`: it reads its task from standard input as JSON
and writes pixels and results to two files, image by image. A crash inside a codec ends only the
worker, and its finished files are used. Unlike multiprocessing, a worker never runs the script of
the user again.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from multigan.core.data_counts import printable
from multigan.core.fingerprint import fingerprint
from multigan.image.formats.kinds import (
    HEAD_BYTES,
    SUFFIXES,
    kind_not_read,
    pillow_format,
    suffix_of,
)
from multigan.image.formats.large_images import (
    ORIENTATION,
    apply_orientation,
    decode_memory,
    resize_in_strips,
)
from multigan.image.formats.values import (
    BYTES,
    ReadOptions,
    deep_to_gray,
    kind_of_values,
    stretch_bytes,
    visible_extremes,
)

MAX_PIXELS = 64_000_000  # of one file
TEXT_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
MAX_FILE_BYTES = 256_000_000  # of one file
MAX_DECODE_BYTES = 300_000_000  # of one file and its pixels during decoding
MAX_FRAMES = 10_000  # that are read from one file
ORIENTATIONS = range(1, 9)  # of EXIF
STRIP_THRESHOLD_PIXELS = 4_000_000  # larger images are converted in strips
HAS_FRAMES = ("GIF", "PNG", "WEBP", "TIFF", "AVIF", "FLI", "DCX")  # formats
CROPPED = 0.01  # a difference of aspect ratios above it is counted as a crop
DEFAULT = ReadOptions()
CUT_MODES = ("RGB", "RGBA", "LA")  # that Pillow reads 16 bits as
PNG_BITS = 24  # the byte of a PNG file that is its bits per channel
MARK = "multigan"  # the text chunk of PNG files that are written next to samples
TRANSPARENT = "with transparent pixels, which became"  # the background of the options
SURROUND = "written by multigan next to its samples"
# Pillow logs what is wrong with a file before it raises; without a handler it would be printed.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Size(NamedTuple):
    """The size of an image in pixels."""

    height: int
    width: int


class SkippedFile(Exception):
    """An unusable file: `reason` is one of a few categories, the message adds details."""

    def __init__(self, reason: str, more: str = "") -> None:
        super().__init__(f"{reason}: {more}" if more else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FileResult:
    """The result of decoding one file: used, or skipped for a reason."""

    file: str  # relative to the folder or archive, with "/"
    reason: str = ""  # category; empty for a used file
    message: str = ""  # the full explanation
    channels: int = 0  # 1 grayscale, 3 color, 4 with alpha
    digest: str = ""  # of the file's bytes
    images: int = 0  # that were read from it
    frames: int = 0  # that it holds
    kind: str = ""  # its format
    values: str = ""  # the kind of its values
    low: float = 0.0  # the least value, before the conversion to 8 bits
    high: float = 0.0  # the largest value
    changes: tuple[str, ...] = ()  # that the conversion made

    def to_json(self) -> list[Any]:
        """Return the values in the order of the fields: there may be millions of results."""
        return [getattr(self, item.name) for item in fields(self)]

    @classmethod
    def from_json(cls, record: list[Any]) -> FileResult:
        """Return the result that `to_json` described."""
        values = dict(zip([item.name for item in fields(cls)], record, strict=True))
        return cls(**values | {"changes": tuple(values["changes"])})


@dataclass
class Decoded:
    """The images of one file, and the changes that the conversion made."""

    pixels: np.ndarray  # (n, C, H, W) uint8
    kind: str
    frames: int
    converter: Converter


def decode_files(
    source: str, files: list[str], size: Size, options: ReadOptions = DEFAULT
) -> Iterator[tuple[FileResult, bytes]]:
    """Decode each file of a folder or zip archive to its result and its pixels (n, C, H, W)."""
    with contextlib.ExitStack() as stack:
        archive = None
        if not Path(source).is_dir():
            archive = stack.enter_context(zipfile.ZipFile(source))
        for file in files:
            yield decode_one(source, archive, file, size, options)


def decode_one(
    source: str,
    archive: zipfile.ZipFile | None,
    file: str,
    size: Size,
    options: ReadOptions = DEFAULT,
) -> tuple[FileResult, bytes]:
    """Decode one file to its result and pixels; no content of a file raises."""
    try:
        content = _content(source, archive, file)
    except Exception as error:  # of the file system, or of a damaged archive
        return _skipped(file, error), b""
    digest = fingerprint((content,))
    return decode_bytes(content, file, digest, size, options)


def decode_bytes(
    content: bytes, file: str, digest: str, size: Size, options: ReadOptions, suffix: bool = True
) -> tuple[FileResult, bytes]:
    """Decode the content of one file to its result and pixels; `suffix` False ignores its name."""
    try:
        decoded = decode_frames(content, size, options, file if suffix else "")
    except Exception as error:  # third-party decoders raise arbitrary exceptions
        return _skipped(file, error), b""
    converter = decoded.converter
    result = FileResult(
        file,
        channels=decoded.pixels.shape[1],
        digest=digest,
        images=len(decoded.pixels),
        frames=decoded.frames,
        kind=decoded.kind,
        values=converter.values,
        low=converter.low,
        high=converter.high,
        changes=tuple(sorted(converter.changes)),
    )
    return result, decoded.pixels.tobytes()


def _skipped(file: str, error: Exception) -> FileResult:
    """Return the result of a file that raised an error."""
    named = printable(file)
    if isinstance(error, SkippedFile):
        return FileResult(file, error.reason, f"{named}: {error}")
    text = " ".join(str(error).split()) or type(error).__name__
    return FileResult(file, "cannot be read", f"{named}: cannot be read: {text[:200]}")


def _content(source: str, archive: zipfile.ZipFile | None, file: str) -> bytes:
    """Read a file into memory: an archive is never extracted to disk.

    Files of other kinds are refused after their first bytes.
    """
    if archive is None:
        path = Path(source, file)
        check_file_size(path.stat().st_size)
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            reject_other_kinds(head, file)
            return head + stream.read()
    if file.startswith("/") or ".." in file.replace("\\", "/").split("/"):
        raise SkippedFile("path outside the archive")
    check_file_size(archive.getinfo(file).file_size)
    with archive.open(file) as member:
        head = member.read(HEAD_BYTES)
        reject_other_kinds(head, file)
        return head + member.read()


def check_file_size(size_bytes: int) -> None:
    """Raise SkippedFile for a file of more than MAX_FILE_BYTES."""
    if size_bytes > MAX_FILE_BYTES:
        raise SkippedFile(
            "too large", f"must have {MAX_FILE_BYTES:,} bytes or fewer; got {size_bytes:,}"
        )


def reject_other_kinds(head: bytes, name: str = "") -> str:
    """Return the format of Pillow for a file that begins with `head`; SkippedFile for others."""
    suffix = suffix_of(name)
    expected = not name or suffix in SUFFIXES
    if not head:
        raise SkippedFile(*(("cannot be read", "it is empty") if expected else ("no image file",)))
    if suffix in TEXT_TABLES:  # whose first letters may be those of an image format
        raise SkippedFile("no image file")
    if kind := pillow_format(head, name):
        return kind
    known = kind_not_read(head, name) if expected or suffix not in (".html", ".htm") else None
    if known is not None:
        raise SkippedFile(f"{known[0]} is not read", known[1])
    if expected:
        raise SkippedFile("cannot be read", "no image of a known format")
    raise SkippedFile("no image file")


def decode(
    content: bytes, size: Size, options: ReadOptions = DEFAULT, name: str = ""
) -> np.ndarray:
    """Decode one file to pixels (C, H, W) uint8 of its first frame, as `decode_frames`."""
    return decode_frames(content, size, options, name).pixels[0]


def decode_frames(
    content: bytes, size: Size, options: ReadOptions = DEFAULT, name: str = ""
) -> Decoded:
    """Decode one file to pixels uint8; C is 1 if all pixels are gray, 3, or 4 with alpha.

    The EXIF orientation is applied, transparent pixels show the background of the options, and
    deep values become 8 bits by the range of the options. Other aspect ratios are center-cropped
    before scaling. Of an animation the first frame is taken, or all. Raises SkippedFile, also for
    excessive memory, or any exception of the decoder.
    """
    converter = Converter(options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata, and about sizes, which are checked below
        with _open(content, name) as image:
            if MARK in image.info:
                raise SkippedFile(SURROUND, str(image.info[MARK])[:40])
            correct_transparency(image, content)
            if image.format == "PNG" and content[PNG_BITS] == 16 and image.mode in CUT_MODES:
                converter.changes.add("16-bit color values cut to 8 bits")
            count = _count_frames(image)
            arrays = [_decode_frame(image, content, size, converter)]
            if options.all_frames and count > MAX_FRAMES:
                raise SkippedFile("too large", f"{count:,} frames; {MAX_FRAMES:,} are the limit")
            for frame in range(1, count if options.all_frames else 1):
                image.seek(frame)
                arrays.append(_decode_frame(image, content, size, converter))
            kind = "JPEG" if image.format == "MPO" else str(image.format)
    suffix = suffix_of(name)
    if Image.registered_extensions().get(suffix, kind) not in (kind, "MPO"):
        converter.changes.add("known by its content, not its suffix")
    pixels = np.stack(arrays)  # (n, H, W, C)
    if not options.alpha and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    return Decoded(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), kind, count, converter)


def _decode_frame(image: ImageFile, content: bytes, size: Size, converter: Converter) -> np.ndarray:
    """Decode the current frame to an array (H, W, C), within the limits."""
    wide, high = image.size
    if wide * high > MAX_PIXELS:
        more = f"must have {MAX_PIXELS:,} pixels or fewer; got {wide:,} x {high:,}"
        raise SkippedFile("too large", more)
    image.draft("RGB", (2 * size.width, 2 * size.height))  # a JPEG is decoded at 1/2 .. 1/8
    if (needed := decode_memory(image, content, wide * high)) > MAX_DECODE_BYTES:
        more = f"must need {MAX_DECODE_BYTES:,} bytes or fewer to decode; got {needed:,}"
        raise SkippedFile("too large", f"{more} for {wide:,} x {high:,} pixels")
    array = np.asarray(_fit(image, size, converter)).reshape(size.height, size.width, -1)
    if converter.options.alpha:
        array = np.where(array[..., 3:] == 0, 0, array).astype(np.uint8)  # the color is not seen
        return array
    return np.broadcast_to(array, (size.height, size.width, 3))


def _open(content: bytes, name: str) -> ImageFile:
    kind = reject_other_kinds(content[:HEAD_BYTES], name)
    try:
        return Image.open(io.BytesIO(content), formats=(kind,))
    except UnidentifiedImageError:  # its own message has a memory address
        raise SkippedFile("cannot be read", "no image of a known format") from None
    except Image.DecompressionBombError:  # the limit of Pillow, far above ours
        raise SkippedFile("too large", "more pixels than the limit of Pillow") from None


def correct_transparency(image: ImageFile, content: bytes) -> None:
    """Give the transparent value of a PNG the depth of its decoded pixels, as Pillow does not.

    Pillow reads 2 and 4 bits of gray, and 16 bits of color, as 8 bits, but not that value.
    """
    if image.format != "PNG":
        return
    value, bits = image.info.get("transparency"), content[PNG_BITS]
    if isinstance(value, int) and bits in (2, 4) and image.mode == "L":
        image.info["transparency"] = value * 255 // (2**bits - 1)
    elif isinstance(value, tuple) and bits == 16:
        image.info["transparency"] = tuple(channel >> 8 for channel in value)


def _count_frames(image: ImageFile) -> int:
    """Return the number of frames or pages; 1 where it is unknown."""
    if image.format not in HAS_FRAMES:
        return 1
    try:
        return max(1, int(getattr(image, "n_frames", 1)))
    except Exception:  # a damaged later frame raises arbitrary exceptions
        return 1


def _fit(image: Image.Image, size: Size, converter: Converter) -> Image.Image:
    """Convert to L, RGB or RGBA, apply the orientation, center-crop and scale."""
    image.load()  # applies the orientation of a TIFF
    tag = image.getexif().get(ORIENTATION)
    orientation = tag if isinstance(tag, int) and tag in ORIENTATIONS else 1
    converter.note_geometry(image.size, size, orientation)
    target = (size.width, size.height)
    if image.width * image.height > STRIP_THRESHOLD_PIXELS:
        return resize_in_strips(image, target, converter, orientation)
    return ImageOps.fit(
        apply_orientation(converter(image), orientation), target, Image.Resampling.BICUBIC
    )


@dataclass
class Converter:
    """Converts images, or strips of them, to L, RGB or RGBA; collects changes and extremes."""

    options: ReadOptions
    changes: set[str] = field(default_factory=set)
    values: str = BYTES
    low: float = float("inf")
    high: float = float("-inf")

    def __call__(self, image: Image.Image) -> Image.Image:
        """Convert an image, or a strip of it, without EXIF."""
        self.values = kind_of_values(image.mode)
        limits = self.options.range_of(self.values)
        if self.values != BYTES:
            converted, extremes = deep_to_gray(image, limits)
            self.changes.add(f"{self.values} values to 8 bits")
        else:
            converted = self._plain(image)
            extremes = visible_extremes(converted)
            converted = stretch_bytes(converted, limits)
        self.low, self.high = min(self.low, extremes[0]), max(self.high, extremes[1])
        converted = self._on_background(converted)
        converted.info = {}
        return converted

    def _plain(self, image: Image.Image) -> Image.Image:
        """Convert bytes to L or RGB, or to RGBA if they have transparency."""
        bands = set() if image.mode == "LAB" else {*image.getbands()}
        if bands & {"A", "a"} or "transparency" in image.info:
            return image.convert("RGBA")
        if image.mode not in ("1", "L", "RGB", "P", "RGBX"):
            self.changes.add(f"{image.mode} to RGB")
        return image.convert("L" if image.mode in ("1", "L") else "RGB")

    def _on_background(self, image: Image.Image) -> Image.Image:
        """Convert to RGBA if alpha is kept; else put transparent pixels on the background."""
        if self.options.alpha:
            return image.convert("RGBA")
        if image.mode not in ("LA", "RGBA"):
            return image
        if visible_extremes(image.getchannel("A"))[0] < 255:
            self.changes.add(f"{TRANSPARENT} {self.options.background}")
        background = Image.new("RGBA", image.size, self.options.color)
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")

    def note_geometry(self, stored: tuple[int, int], size: Size, orientation: int) -> None:
        """Count rotation, crop and enlargement of an image of `stored` (width, height)."""
        if orientation != 1:
            self.changes.add("rotated by EXIF")
        wide, high = stored if orientation < 5 else stored[::-1]
        ratio = wide / high / (size.width / size.height)
        if abs(ratio - 1) > CROPPED:
            self.changes.add("center-cropped")
        if min(wide / size.width, high / size.height) < 1:
            self.changes.add("enlarged")


def worker_main(task: dict) -> None:
    """Decode the files of a task; the result of each is a line of JSON, after its pixels."""
    options = ReadOptions(**task["options"])
    with Path(task["pixels"]).open("wb") as pixels, Path(task["results"]).open("wb") as results:
        found = decode_files(task["source"], task["files"], Size(*task["size"]), options)
        for result, content in found:
            pixels.write(content)
            pixels.flush()
            results.write(json.dumps(result.to_json()).encode() + b"\n")
            results.flush()


if __name__ == "__main__":
    worker_main(json.load(sys.stdin))
