"""Decoded images of many files as rows of one shape, in memory or in a cached file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from multigan.core.data_counts import printable
from multigan.image.formats.decode import FileResult, Size, SkippedFile
from multigan.image.formats.decode_workers import CRASHED
from multigan.image.formats.values import DEFAULT_RANGES, Range, ReadOptions, set_ranges
from multigan.storage.dataset_memory import fits_in_memory
from multigan.storage.row_files import (
    RowWriter,
    StoredRows,
    open_once,
    open_rows,
    read_rows,
    writable_cache,
)

BEYOND = "floating-point values beyond their range"
COLOR, WITH_ALPHA = 3, 4  # channels
# Decodes files by name, in order, to their results and their pixels (n, C, H, W).
Decode = Callable[[Sequence[str], ReadOptions], Iterable[tuple[FileResult, bytes]]]
Decoded = tuple[Tensor | StoredRows, tuple[FileResult, ...]]  # pixels (N, C, H, W), every file


def decoded_images(
    cached: Path,
    files: Sequence[str],
    decode: Decode,
    size: Size,
    options: ReadOptions,
    *,
    in_memory: str = "auto",
    unique: bool = True,
    keep: bool = True,
) -> Decoded:
    """Return the pixels of the usable files and the result of every file, in order.

    They come from the file `cached`, else they are decoded once and stored there. `in_memory` is as
    in `fits_in_memory`. With `unique` files with the bytes of an earlier one are skipped. Without
    `keep` nothing is stored for other processes; nor is it after a crash of a decoder, since
    memory may suffice later. Raises OSError if worker processes fail, or for a full disk.
    """
    found = _open(cached, size) if keep else None
    if found is None:
        found = _decode(cached, files, decode, size, options, in_memory, unique, keep)
    pixels, results = found
    if isinstance(pixels, StoredRows) and fits_in_memory(pixels.num_bytes, in_memory):
        pixels = read_rows(pixels)
    return pixels, results


def _open(cached: Path, size: Size) -> Decoded | None:
    """Return what a cached file holds; None if it is missing, damaged or of another shape."""
    found = open_rows(cached)
    if found is None:
        return None
    pixels, records = found
    try:
        results = tuple(FileResult.from_json(record) for record in records)
        count = sum(result.images for result in results if not result.reason)
    except (TypeError, LookupError, AttributeError):
        return None
    fits = len(pixels.shape) == 4 and pixels.shape[0] == count and pixels.shape[2:] == tuple(size)
    return (pixels, results) if fits else None


def _decode(
    cached: Path,
    files: Sequence[str],
    decode: Decode,
    size: Size,
    options: ReadOptions,
    in_memory: str,
    unique: bool,
    keep: bool,
) -> Decoded:
    channels = WITH_ALPHA if options.alpha else COLOR
    shape = (channels, size.height, size.width)
    expected = len(files) * int(np.prod(shape))
    folder, writable = (None, True) if fits_in_memory(expected, in_memory) else writable_cache()
    with RowWriter(shape, "uint8", folder) as writer:
        results = _decode_into(writer, files, decode, size, options, unique)
        lasting = keep and not any(result.reason == CRASHED for result in results)
        records = [result.to_json() for result in results]
        if folder is None:
            if lasting:
                _store(writer, cached, records)
            return writer.tensor(), results
        if lasting and writable:
            writer.save(cached, records)
            found = open_rows(cached)
            if found is None:
                raise OSError(f"{cached} must hold what was just written; is the disk damaged?")
            return found[0], results
        own = folder / f".{cached.name}.{id(writer)}.tmp"
        writer.save(own, records)
        return open_once(own), results


def _store(writer: RowWriter, cached: Path, records: list[Any]) -> None:
    """Store images that are in memory; a failure is a warning."""
    try:
        writer.save(cached, records)
    except OSError as error:
        text = f"the cache {cached.parent} cannot be written: {error}; set XDG_CACHE_HOME"
        warnings.warn(text, stacklevel=5)


def _decode_into(
    writer: RowWriter,
    files: Sequence[str],
    decode: Decode,
    size: Size,
    options: ReadOptions,
    unique: bool,
) -> tuple[FileResult, ...]:
    """Write the pixels of the usable files and return the result of every file.

    The files whose values need a range of the whole set are decoded a second time. All images are
    written in color at first; if all are gray they are rewritten with one channel.
    """
    results: dict[str, FileResult] = {}
    firsts: dict[str, int] = {}  # file -> its first row
    for result, rows in _checked(decode(files, options), writer, size, unique):
        results[result.file] = result
        if not result.reason:
            firsts[result.file] = writer.count
            writer.append(rows)
    ranges = ranges_needed(results.values(), options)
    again = [r.file for r in results.values() if not r.reason and r.values in ranges]
    if again:
        with_ranges = replace(options, ranges=ranges)
        for result, rows in _checked(decode(again, with_ranges), writer, size, unique=False):
            if not result.reason and result.images == results[result.file].images:
                writer.overwrite(firsts[result.file], rows)
                results[result.file] = result
    keep = np.ones(writer.count, bool)
    for file, first in firsts.items():
        if is_beyond(results[file], options, ranges):
            keep[first : first + results[file].images] = False
            results[file] = _beyond(results[file])
    _rewrite(writer, keep, results.values())
    return tuple(results.values())


def _checked(
    decoded: Iterable[tuple[FileResult, bytes]], writer: RowWriter, size: Size, unique: bool
) -> Iterator[tuple[FileResult, np.ndarray]]:
    """Yield results with their rows in all channels; with `unique` a duplicate is skipped.

    A duplicate could be in the training split and in a held-out split.
    """
    seen: dict[str, str] = {}  # digest -> first file
    channels = writer.row_shape[0]
    for result, content in decoded:
        if unique and not result.reason:
            first = seen.setdefault(result.digest, result.file)
            if first != result.file:
                error = SkippedFile("the same as another file", printable(first))
                message = f"{printable(result.file)}: {error}"
                result, content = FileResult(result.file, error.reason, message), b""
        rows = np.frombuffer(content, np.uint8).reshape(-1, max(1, result.channels), *size)
        yield result, np.broadcast_to(rows, (len(rows), channels, *size))


def _rewrite(writer: RowWriter, keep: np.ndarray, results: Iterable[FileResult]) -> None:
    """Keep some rows; one channel of all where every usable file is gray."""
    most = max((result.channels for result in results if not result.reason), default=1)
    if keep.all() and most == writer.row_shape[0]:
        return

    def change(first: int, rows: np.ndarray) -> np.ndarray:
        return rows[keep[first : first + len(rows)], :most]

    writer.rewrite((most, *writer.row_shape[1:]), change)


def ranges_needed(results: Iterable[FileResult], options: ReadOptions) -> dict[str, Range]:
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
