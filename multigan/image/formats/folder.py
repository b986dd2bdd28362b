"""Images in folders and zip archives: usable files are decoded, others are reported."""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from multigan.core.data_counts import CHANGED, IGNORED, LEFT_OUT, USED, DataCounts, printable
from multigan.image.formats import cache
from multigan.image.formats.decode import DEFAULT, FileResult, Size, SkippedFile
from multigan.image.formats.decode_workers import CRASHED, decode_files_parallel
from multigan.image.formats.label_files import MAX_BYTES, FoundLabels, labels_of_tables
from multigan.image.formats.labels import NO_LABEL, Labels, folder_labels, quoted
from multigan.image.formats.listing import Listing, list_files
from multigan.image.formats.resize import (
    NO_LABEL_REASON,
    ImageArrays,
    alike_note,
    check_min_images,
    raise_if_alike,
    unlabeled_note,
    with_labels,
)
from multigan.image.formats.values import (
    DEFAULT_RANGES,
    Range,
    ReadOptions,
    range_notes,
    set_ranges,
)

MAX_NAMES_SHOWN = 3  # skipped files that a message lists for each reason
NO_IMAGE = "no image file"
BEYOND = "floating-point values beyond their range"


class FolderScan:
    """The content of a folder or an archive: its images, and what became of every file."""

    def __init__(
        self,
        images: ImageArrays,
        results: Sequence[FileResult],
        counts: DataCounts,
        notes: Sequence[str] = (),
    ) -> None:
        self.images, self.results = images, tuple(results)  # of every file, in order
        self.counts, self.notes = counts, tuple(notes)

    def skip_summary(self) -> str:
        """Summarize skipped files, counted by reason, with some names; "" if there are none."""
        skipped = [result for result in self.results if result.reason]
        reasons = Counter(result.reason for result in skipped)
        parts = []
        for reason, count in reasons.most_common():
            files = [printable(result.file) for result in skipped if result.reason == reason]
            more = ", ..." if count > MAX_NAMES_SHOWN else ""
            parts.append(f"{count} {reason} ({', '.join(files[:MAX_NAMES_SHOWN])}{more})")
        whole = f"{len(skipped)} of {len(self.results)} files are skipped: "
        return whole + "; ".join(parts) if skipped else ""


def read_folder(source: str, size: Size, options: ReadOptions = DEFAULT) -> ImageArrays:
    """Read the images of a folder or zip archive at one size, with labels.

    Labels are those of tables next to the images, else the subfolders. Warnings count and name the
    skipped files, and say what is unusual. Raises ValueError for too few usable files, or images
    that are all alike.
    """
    scan = scan_folder(source, size, options)
    skipped = scan.skip_summary()
    check_min_images(source, len(scan.images.pixels), skipped)
    raise_if_alike(source, scan.images.pixels, scan.counts)
    if skipped:
        warnings.warn(f"{source}: {skipped}; list them: multigan image inspect", stacklevel=2)
    for note in scan.notes:
        warnings.warn(f"{source}: {note}", stacklevel=2)
    return scan.images


def scan_folder(source: str, size: Size, options: ReadOptions = DEFAULT) -> FolderScan:
    """Decode every file of a folder or zip archive, or load the result from the cache.

    Raises ValueError if there is no file, OSError if the worker processes fail.
    """
    listing = list_files(source)
    if not listing.files:
        raise ValueError(f"{source} must hold images (PNG, JPEG, WebP, ...); got no file")
    key = cache.cache_key(source, listing.files, size, options)
    if (found := cache.load(key, size)) is None:
        found = _decode(source, listing.files, size, options)
        if not any(result.reason == CRASHED for result in found[1]):  # memory may suffice later
            cache.store(key, *found)
    pixels, stored = found
    results = [replace(result, file=listing.name(result.file)) for result in stored]
    used = [result for result in results if not result.reason]
    labels = choose_labels(source, listing, used, results)
    results = [result for result in results if result.file not in labels.tables]
    found_labels = Labels(None) if labels.labels is None else labels.labels
    unlabeled = unlabeled_files(used, found_labels)
    counts = count_results(results, options, unlabeled)
    for reason, files in listing.ignored.items():
        counts.add(IGNORED, reason, map(printable, files), len(files))
    repeats = torch.tensor([result.images for result in used], dtype=torch.long)
    images = ImageArrays(pixels, counts=counts, groups=groups_of(repeats))
    images = with_labels(images, found_labels, repeats)
    notes = [
        *listing.notes,
        labels.note,
        _case_note(found_labels.names),
        *image_notes(used, found_labels, images, options),
    ]
    return FolderScan(images, results, counts, [note for note in notes if note])


def image_notes(
    used: Sequence[FileResult], labels: Labels, images: ImageArrays, options: ReadOptions
) -> list[str]:
    """Describe what is unusual: missing labels, low values, more frames, images all alike."""
    extremes = [(result.values, (result.low, result.high)) for result in used]
    notes = [unlabeled_note(len(unlabeled_files(used, labels)), len(used)), _frames_note(used)]
    notes += [] if options.stretch else range_notes(extremes)
    alike = alike_note(images.pixels, images.counts)
    return [note for note in [*notes, alike] if note]


def _decode(
    source: str, files: Sequence[str], size: Size, options: ReadOptions
) -> tuple[Tensor, tuple[FileResult, ...]]:
    """Return the pixels (N, C, H, W) of the usable files, and the result of every file.

    The files whose values need a range of the whole set are decoded a second time.
    """
    decoded = dict(zip(files, decode_files_parallel(source, files, size, options), strict=True))
    used = [result for result, _ in decoded.values() if not result.reason]
    ranges = ranges_needed(used, options)
    again = [result.file for result in used if result.values in ranges]
    if again:
        with_ranges = replace(options, ranges=ranges)
        decoded |= zip(again, decode_files_parallel(source, again, size, with_ranges), strict=True)
    for result in used:
        if is_beyond(result, options, ranges):
            decoded[result.file] = _beyond(result), b""
    results, pixels = _without_duplicates(decoded)
    every = sorted(results, key=lambda result: result.file)
    return torch.from_numpy(stack_images(results, pixels, size)), tuple(every)


def ranges_needed(results: Sequence[FileResult], options: ReadOptions) -> dict[str, Range]:
    """Return the ranges of the kinds of values that must be decoded again with them."""
    extremes = ((r.values, (r.low, r.high)) for r in results if not r.reason)
    found = set_ranges(extremes, options.stretch)
    return {kind: limits for kind, limits in found.items() if limits != options.range_of(kind)}


def is_beyond(result: FileResult, options: ReadOptions, ranges: Mapping[str, Range]) -> bool:
    """Return True for values that fit neither the default range nor one of `ranges`."""
    low, high = options.range_of(result.values)
    known = result.values in DEFAULT_RANGES or result.values in ranges
    return not known and not low <= result.low <= result.high <= high


def _beyond(result: FileResult) -> FileResult:
    """Return the result of a file whose values fit no known range."""
    more = f"from {result.low:g} to {result.high:g}; stretch (--stretch) scales all by one factor"
    return FileResult(result.file, BEYOND, f"{printable(result.file)}: {BEYOND}: {more}")


def choose_labels(
    source: str, listing: Listing, used: Sequence[FileResult], results: Sequence[FileResult]
) -> FoundLabels:
    """Return the labels of the used files: of tables next to them, else of their folders."""
    files = [result.file for result in used]
    from_folders = folder_labels(files)
    originals = {listing.name(file): file for file in listing.files}
    others = [result.file for result in results if result.reason == NO_IMAGE]

    def read(file: str) -> bytes:
        return _read(source, originals[file])

    found = labels_of_tables(files, others, read, from_folders.numbers is not None)
    if found.labels is not None:
        return found
    note = "; ".join(filter(None, [from_folders.note, found.note]))
    return FoundLabels(from_folders._replace(note=""), (), note)


def _read(source: str, file: str) -> bytes:
    """Return the content of a table in a folder or archive, at most MAX_BYTES of it."""
    if Path(source).is_dir():
        with Path(source, file).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    with zipfile.ZipFile(source) as archive, archive.open(file) as member:
        return member.read(MAX_BYTES + 1)


def unlabeled_files(used: Sequence[FileResult], labels: Labels) -> set[str]:
    """Return the files without a label, if others have one."""
    if labels.numbers is None:
        return set()
    return {r.file for r, n in zip(used, labels.numbers, strict=True) if n == NO_LABEL}


def count_results(
    results: Iterable[FileResult], options: ReadOptions, unlabeled: Collection[str] = ()
) -> DataCounts:
    """Count the used images by format, the changes, and the skipped files by reason."""
    counts = DataCounts("images")
    for result in results:
        name = [printable(result.file)]
        if result.reason or result.file in unlabeled:
            counts.add(LEFT_OUT, result.reason or NO_LABEL_REASON, name, max(1, result.images))
            continue
        counts.add(USED, result.kind, name, result.images)
        for change in result.changes:
            counts.add(CHANGED, change, name, result.images)
        if result.frames > result.images:
            counts.add(LEFT_OUT, "frames or pages after the first", name, result.frames - 1)
    return counts


def _case_note(names: Sequence[str]) -> str:
    """Describe classes whose names differ by case only."""
    same = defaultdict(list)
    for name in names:
        same[name.casefold()].append(quoted(name))
    listed = [", ".join(group) for group in same.values() if len(group) > 1]
    return f"classes that differ by case only: {'; '.join(listed[:3])}" if listed else ""


def _frames_note(used: Sequence[FileResult]) -> str:
    more = [result for result in used if result.frames > result.images]
    if not more:
        return ""
    count = sum(result.frames - result.images for result in more)
    return (
        f"{len(more):,} files have {count:,} more frames or pages, which are not used; "
        "--all-frames reads them"
    )


def groups_of(repeats: Tensor) -> Tensor | None:
    """Return the number of the file (N,) of each image; None if each file has one."""
    if bool((repeats == 1).all()):
        return None
    return torch.arange(len(repeats)).repeat_interleave(repeats)


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
                error = SkippedFile("the same as another file", printable(first))
                message = f"{printable(result.file)}: {error}"
                result = FileResult(result.file, error.reason, message)
        results.append(result)
    return results, pixels


def stack_images(results: Sequence[FileResult], pixels: Sequence[bytes], size: Size) -> np.ndarray:
    """Stack the images of files to (N, C, H, W) uint8: grayscale if every image is, else color."""
    used = [result for result in results if not result.reason]
    channels = max((result.channels for result in used), default=1)
    stacked = np.empty((sum(result.images for result in used), channels, *size), np.uint8)
    first = 0
    for result, content in zip(used, pixels, strict=True):
        array = np.frombuffer(content, np.uint8).reshape(-1, result.channels, *size)
        stacked[first : first + len(array)] = array
        first += len(array)
    return stacked
