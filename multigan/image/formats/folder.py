"""Images in folders and zip archives: usable files are decoded, others are reported."""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from multigan.core.data_counts import CHANGED, IGNORED, LEFT_OUT, USED, DataCounts, printable
from multigan.image.formats.cache import cached_file
from multigan.image.formats.decode import DEFAULT, FileResult, Size
from multigan.image.formats.decode_workers import decode_files_parallel
from multigan.image.formats.decoded_images import decoded_images
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
from multigan.image.formats.values import ReadOptions, range_notes

MAX_NAMES_SHOWN = 3  # skipped files that a message lists for each reason
NO_IMAGE = "no image file"


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


def read_folder(
    source: str, size: Size, options: ReadOptions = DEFAULT, in_memory: str = "auto"
) -> ImageArrays:
    """Read the images of a folder or zip archive at one size, with labels.

    Labels are those of tables next to the images, else the subfolders. Warnings count and name the
    skipped files, and say what is unusual. Raises ValueError for too few usable files, or images
    that are all alike.
    """
    scan = scan_folder(source, size, options, in_memory)
    skipped = scan.skip_summary()
    check_min_images(source, len(scan.images.pixels), skipped)
    raise_if_alike(source, scan.images.pixels, scan.counts)
    if skipped:
        warnings.warn(f"{source}: {skipped}; list them: multigan image inspect", stacklevel=2)
    for note in scan.notes:
        warnings.warn(f"{source}: {note}", stacklevel=2)
    return scan.images


def scan_folder(
    source: str, size: Size, options: ReadOptions = DEFAULT, in_memory: str = "auto"
) -> FolderScan:
    """Decode every file of a folder or zip archive, or load the result from the cache.

    Raises ValueError if there is no file, OSError if the worker processes fail.
    """
    listing = list_files(source)
    if not listing.files:
        raise ValueError(f"{source} must hold images (PNG, JPEG, WebP, ...); got no file")

    def decode(files: Sequence[str], options: ReadOptions) -> Iterator[tuple[FileResult, bytes]]:
        return decode_files_parallel(source, files, size, options)

    cached = cached_file(source, listing.files, size, options)
    found = decoded_images(cached, listing.files, decode, size, options, in_memory=in_memory)
    pixels, stored = found
    results = [
        replace(result, file=listing.names[result.file]) if result.file in listing.names else result
        for result in stored
    ]
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
