"""Any folder or zip archive of pictures: what can be used is kept, what cannot is named."""

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

from multigan.image.formats.cache import cache_key, load, store
from multigan.image.formats.decode import FileResult, Size, SkippedFile
from multigan.image.formats.decode_workers import CRASHED, decode_files
from multigan.image.formats.labels import labels_from_folders
from multigan.image.formats.resize import ImageArrays, check_min_images

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LEFT_OUT = ("__MACOSX", "Thumbs.db", "desktop.ini")  # what systems leave behind; ".…" too
NAMED = 3  # skipped files that a message names for each reason


@dataclass(frozen=True)
class FolderScan:
    """What a folder or an archive holds."""

    pictures: ImageArrays  # of no picture at all, if nothing can be used
    outcomes: tuple[FileResult, ...]  # of every file, in order

    def skipped(self) -> str:
        """The skipped files in words, counted by reason, some of them named; "" without any."""
        skipped = [outcome for outcome in self.outcomes if outcome.reason]
        reasons = Counter(outcome.reason for outcome in skipped)
        parts = []
        for reason, count in reasons.most_common():
            files = [outcome.file for outcome in skipped if outcome.reason == reason]
            more = ", ..." if count > NAMED else ""
            parts.append(f"{count} {reason} ({', '.join(files[:NAMED])}{more})")
        whole = f"{len(skipped)} of {len(self.outcomes)} files are not used: "
        return whole + "; ".join(parts) if skipped else ""


def read_folder(source: str, size: Size) -> ImageArrays:
    """The pictures of a folder or zip archive at one size; sub-folders are classes.

    Files that are not used are counted and named in a warning. Raises ValueError if nothing can
    be read there, or too few.
    """
    reading = read(source, size)
    skipped = reading.skipped()
    check_min_images(source, len(reading.pictures.pixels), skipped)
    if skipped:
        warnings.warn(f"{source}: {skipped}; all of them: multigan image check", stacklevel=2)
    return reading.pictures


def read(source: str, size: Size) -> FolderScan:
    """Every file of a folder or zip archive, decoded or from the cache.

    Raises ValueError if there is no file, OSError if processes cannot decode.
    """
    files = _files(source)
    if not files:
        raise ValueError(f"{source}: holds no file; wanted pictures ({', '.join(SUFFIXES)})")
    key = cache_key(source, files, size)
    if (found := load(key)) is None:
        found = _decoded(source, files, size)
        if not any(outcome.reason == CRASHED for outcome in found[1]):  # memory may be there later
            store(key, *found)
    pixels, outcomes = found
    used = [outcome.file for outcome in outcomes if not outcome.reason]
    return FolderScan(ImageArrays(pixels, *labels_from_folders(source, used)), outcomes)


def _decoded(
    source: str, files: Sequence[str], size: Size
) -> tuple[Tensor, tuple[FileResult, ...]]:
    """The pixels (N, C, H, W) of the files that can be used, and what became of every file."""
    wanted = [file for file in files if file.lower().endswith(SUFFIXES)]
    decoded = dict(zip(wanted, decode_files(source, wanted, size), strict=True))
    other = {file: _no_picture(file) for file in files if file not in decoded}
    outcomes, pixels = _without_repeats(decoded)
    every = sorted([*outcomes, *other.values()], key=lambda outcome: outcome.file)
    return torch.from_numpy(_stack(pixels, size)), tuple(every)


def _files(source: str) -> list[str]:
    """The files of a folder or archive, relative and in order, without what systems leave there."""
    path = Path(source)
    if path.is_dir():
        found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        names = [file.relative_to(path).as_posix() for file in found if file.is_file()]
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                names = [item.filename for item in archive.infolist() if not item.is_dir()]
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise ValueError(f"{source} is no zip archive that can be read: {error}") from None
    return sorted({name for name in names if not _is_left_out(name)})


def _is_left_out(name: str) -> bool:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("..", ".")]
    return any(part in LEFT_OUT or part.startswith(".") for part in parts)


def _no_picture(file: str) -> FileResult:
    return FileResult(file, "no picture file", f"{file}: no picture file")


def _without_repeats(
    decoded: dict[str, tuple[FileResult, bytes]],
) -> tuple[list[FileResult], list[bytes]]:
    """The outcomes, in which a file of the same bytes as one before is skipped; the pixels left.

    A picture that is there twice would be in the training part and in the held-out one.
    """
    outcomes, pixels = [], []
    seen: dict[str, str] = {}  # digest of a file -> the file that had it first
    for outcome, content in decoded.values():
        if not outcome.reason:
            first = seen.setdefault(outcome.digest, outcome.file)
            if first == outcome.file:
                pixels.append(content)
            else:
                unusable = SkippedFile("the same as another file", first)
                outcome = FileResult(outcome.file, unusable.reason, f"{outcome.file}: {unusable}")
        outcomes.append(outcome)
    return outcomes, pixels


def _stack(pixels: Sequence[bytes], size: Size) -> np.ndarray:
    """(N, C, H, W) uint8: grey if every picture is, else colour."""
    area = size.height * size.width
    channels = max((len(content) // area for content in pixels), default=1)
    stacked = np.empty((len(pixels), channels, *size), np.uint8)
    for place, content in zip(stacked, pixels, strict=True):
        place[:] = np.frombuffer(content, np.uint8).reshape(-1, *size)
    return stacked
