"""Images in folders and zip archives: usable files are decoded, others are reported."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from multigan.image.formats import cache
from multigan.image.formats.decode import FileResult, Size, SkippedFile
from multigan.image.formats.decode_workers import CRASHED, decode_files_parallel
from multigan.image.formats.labels import labels_from_folders
from multigan.image.formats.resize import ImageArrays, check_min_images

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
IGNORED_NAMES = ("__MACOSX", "Thumbs.db", "desktop.ini")  # of operating systems; ".*" too
MAX_NAMES_SHOWN = 3  # skipped files that a message lists for each reason


@dataclass(frozen=True)
class FolderScan:
    """The content of a folder or an archive."""

    images: ImageArrays  # empty if no file is usable
    results: tuple[FileResult, ...]  # of every file, in order

    def skip_summary(self) -> str:
        """Summarize skipped files, counted by reason, with some names; "" if there are none."""
        skipped = [result for result in self.results if result.reason]
        reasons = Counter(result.reason for result in skipped)
        parts = []
        for reason, count in reasons.most_common():
            files = [result.file for result in skipped if result.reason == reason]
            more = ", ..." if count > MAX_NAMES_SHOWN else ""
            parts.append(f"{count} {reason} ({', '.join(files[:MAX_NAMES_SHOWN])}{more})")
        whole = f"{len(skipped)} of {len(self.results)} files are skipped: "
        return whole + "; ".join(parts) if skipped else ""


def read_folder(source: str, size: Size) -> ImageArrays:
    """Read the images of a folder or zip archive at one size; subfolders are classes.

    A warning counts and names the skipped files. Raises ValueError for too few usable files.
    """
    scan = scan_folder(source, size)
    skipped = scan.skip_summary()
    check_min_images(source, len(scan.images.pixels), skipped)
    if skipped:
        warnings.warn(f"{source}: {skipped}; list them: multigan image inspect", stacklevel=2)
    return scan.images


def scan_folder(source: str, size: Size) -> FolderScan:
    """Decode every file of a folder or zip archive, or load the result from the cache.

    Raises ValueError if there is no file, OSError if the worker processes fail.
    """
    files = _files(source)
    if not files:
        raise ValueError(f"{source} must hold images ({', '.join(SUFFIXES)}); got no file")
    key = cache.cache_key(source, files, size)
    if (found := cache.load(key)) is None:
        found = _decode(source, files, size)
        if not any(result.reason == CRASHED for result in found[1]):  # memory may suffice later
            cache.store(key, *found)
    pixels, results = found
    used = [result.file for result in results if not result.reason]
    return FolderScan(ImageArrays(pixels, *labels_from_folders(source, used)), results)


def _decode(source: str, files: Sequence[str], size: Size) -> tuple[Tensor, tuple[FileResult, ...]]:
    """Return the pixels (N, C, H, W) of the usable files, and the result of every file."""
    images = [file for file in files if file.lower().endswith(SUFFIXES)]
    decoded = dict(zip(images, decode_files_parallel(source, images, size), strict=True))
    other = {file: _not_an_image(file) for file in files if file not in decoded}
    results, pixels = _without_duplicates(decoded)
    every = sorted([*results, *other.values()], key=lambda result: result.file)
    return torch.from_numpy(_stack(pixels, size)), tuple(every)


def _files(source: str) -> list[str]:
    """List the files of a folder or archive, relative and sorted, without ignored names."""
    path = Path(source)
    if path.is_dir():
        found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        names = [file.relative_to(path).as_posix() for file in found if file.is_file()]
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                names = [item.filename for item in archive.infolist() if not item.is_dir()]
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise ValueError(f"{source} must be a readable zip archive; got: {error}") from None
    return sorted({name for name in names if not _is_ignored(name)})


def _is_ignored(name: str) -> bool:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("..", ".")]
    return any(part in IGNORED_NAMES or part.startswith(".") for part in parts)


def _not_an_image(file: str) -> FileResult:
    return FileResult(file, "no image file", f"{file}: no image file")


def _without_duplicates(
    decoded: dict[str, tuple[FileResult, bytes]],
) -> tuple[list[FileResult], list[bytes]]:
    """Skip every file with the same bytes as an earlier one; return the results and the pixels.

    A duplicate could be in the training split and in a held-out split.
    """
    results, pixels = [], []
    seen: dict[str, str] = {}  # digest -> first file
    for result, content in decoded.values():
        if not result.reason:
            first = seen.setdefault(result.digest, result.file)
            if first == result.file:
                pixels.append(content)
            else:
                error = SkippedFile("the same as another file", first)
                result = FileResult(result.file, error.reason, f"{result.file}: {error}")
        results.append(result)
    return results, pixels


def _stack(pixels: Sequence[bytes], size: Size) -> np.ndarray:
    """Stack images to (N, C, H, W) uint8: grayscale if every image is, else color."""
    area = size.height * size.width
    channels = max((len(content) // area for content in pixels), default=1)
    stacked = np.empty((len(pixels), channels, *size), np.uint8)
    for place, content in zip(stacked, pixels, strict=True):
        place[:] = np.frombuffer(content, np.uint8).reshape(-1, *size)
    return stacked
