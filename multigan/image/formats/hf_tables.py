"""Image datasets in Parquet and Arrow files, as written by Hugging Face `datasets`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from multigan.core import optional_dependencies
from multigan.core.fingerprint import fingerprint
from multigan.image.formats.cache import cached_file
from multigan.image.formats.decode import (
    DEFAULT,
    FileResult,
    Size,
    SkippedFile,
    check_file_size,
    decode_bytes,
)
from multigan.image.formats.decoded_images import decoded_images
from multigan.image.formats.folder import (
    MAX_NAMES_SHOWN,
    count_results,
    groups_of,
    image_notes,
    unlabeled_files,
)
from multigan.image.formats.labels import LABEL_COLUMNS, NO_LABEL, Labels, encode_labels
from multigan.image.formats.resize import (
    MIN_IMAGES,
    ImageArrays,
    check_min_images,
    raise_if_alike,
    with_labels,
)
from multigan.image.formats.values import ReadOptions
from multigan.storage.files import cache_dir

SUFFIXES = (".parquet", ".arrow", ".feather")
ARROW_FILE = b"ARROW1"  # the first bytes of Arrow files, but not of those that `datasets` writes
INFO_FILES = ("dataset_info.json", "dataset_dict.json")  # in a folder of save_to_disk
METADATA = "metadata.parquet"  # next to images: a table of labels, not of images


class _Table(NamedTuple):
    """The rows of one file or split: a column of images, and labels."""

    name: str  # before the numbers of its rows; empty for a single file
    rows: Any  # with the column "image" of undecoded cells
    column: str
    labels: Labels  # of the rows
    unused: tuple[str, ...]  # columns that could be labels and are none

    def row_names(self) -> list[str]:
        """Return the names of the rows in messages, no two alike."""
        return [f"{self.name} row {number}".strip() for number in range(len(self.rows))]

    def holds_bytes(self) -> bool:
        """Return True unless the first row refers to a file, which may change."""
        first = self.rows[0][self.column] if len(self.rows) else None
        return first is None or first["bytes"] is not None


def is_hf_dataset(folder: Path) -> bool:
    """Return True for a folder saved by `datasets`, or with Parquet files of images."""
    return _is_saved(folder) or any(file.name != METADATA for file in folder.rglob("*.parquet"))


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in INFO_FILES)


def read_table(
    source: str, size: Size, options: ReadOptions = DEFAULT, in_memory: str = "auto"
) -> ImageArrays:
    """Read the images of a Parquet or Arrow file, of a folder of Parquet files, or of a saved set.

    The image column is the first one of images, or of their bytes. The label column is the first
    one of class labels, or of integers or strings with a name in LABEL_COLUMNS; the names of the
    classes are matched file by file. Rows without a label are left out if others have one. Warnings
    count the rows that are not used, and list the other columns if there are no labels. Raises
    ValueError without a column of images.
    """
    tables = [_table(source, name, rows) for name, rows in _open(source)]
    if not tables:
        raise ValueError(f"{source} must have rows; got none")
    rows = [row for table in tables for row in table.row_names()]

    def decode(rows: Sequence[str], options: ReadOptions) -> Iterator[tuple[FileResult, bytes]]:
        return _decode_rows(tables, set(rows), size, options)

    pixels, results = decoded_images(
        cached_file(source, _files(Path(source)), size, options),
        rows,
        decode,
        size,
        options,
        in_memory=in_memory,
        unique=False,
        keep=all(table.holds_bytes() for table in tables),
    )
    used = [result for result in results if not result.reason]
    skipped = [result.message for result in results if result.reason]
    summary = f"{len(skipped)} of {len(results)} rows are skipped: "
    summary += "; ".join(message[:100] for message in skipped[:MAX_NAMES_SHOWN])
    more = "; ..." if len(skipped) > MAX_NAMES_SHOWN else ""
    check_min_images(source, len(used), summary if skipped else "")
    if skipped:
        warnings.warn(f"{source}: {summary}{more}", stacklevel=2)
    every = _joined(source, [table.labels for table in tables], tables)
    if every.numbers is not None:
        kept = np.array([not result.reason for result in results])
        every = every._replace(numbers=every.numbers[kept])
    labels = _usable(source, every, len(used))
    counts = count_results(results, options, unlabeled_files(used, labels))
    repeats = torch.tensor([result.images for result in used], dtype=torch.long)
    images = ImageArrays(pixels, counts=counts, groups=groups_of(repeats))
    images = with_labels(images, labels, repeats)
    raise_if_alike(source, images.pixels, counts)
    for note in image_notes(used, labels, images, options):
        warnings.warn(f"{source}: {note}", stacklevel=2)
    return images


def _table(source: str, name: str, rows: Any) -> _Table:
    """Find the columns of images and of labels in the rows of one file."""
    features = dict(rows.features)
    column = next(
        (key for holds in IMAGE_FEATURES for key in features if holds(features[key])), None
    )
    if column is None:
        found = ", ".join(f"{key} ({_kind(features[key])})" for key in features)
        raise ValueError(f"{source} must have a column of images; got {found}")
    del features[column]
    labels, unused = _labels_in(source, rows, features)
    image = optional_dependencies.datasets().Image(decode=False)
    cells = rows.cast_column(column, image).select_columns([column])
    return _Table(name, cells, column, labels, unused)


def _decode_rows(
    tables: Sequence[_Table], names: Collection[str], size: Size, options: ReadOptions
) -> Iterator[tuple[FileResult, bytes]]:
    """Yield the result and the pixels of the named rows of all tables, in order."""
    for table in tables:
        for row, cell in zip(table.row_names(), table.rows, strict=True):
            if row not in names:
                continue
            try:
                content = _content(cell[table.column])
            except Exception as error:  # of the file system
                reason = error.reason if isinstance(error, SkippedFile) else "cannot be read"
                yield FileResult(row, reason, f"{row}: {' '.join(str(error).split())}"), b""
                continue
            digest = fingerprint((content,))
            yield decode_bytes(content, row, digest, size, options, suffix=False)


def _open(source: str) -> list[tuple[str, Any]]:
    """Open the rows of all files or splits, each with a name if there are several."""
    package, path = optional_dependencies.datasets(), Path(source)
    try:
        if _is_saved(path):
            saved = package.load_from_disk(source)
            whole = isinstance(saved, package.Dataset)
            return [("", saved)] if whole else list(saved.items())
        if path.suffix in SUFFIXES[1:]:
            return [("", _open_arrow(path))]
        found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        files = [file for file in found if file.name != METADATA or not path.is_dir()]
        files = [file for file in files if _has_rows(file)]  # `datasets` reads no empty file
        names = [file.name if len(files) > 1 else "" for file in files]
        where = str(cache_dir() / "datasets")
        read = package.Dataset.from_parquet
        return [(n, read(str(f), cache_dir=where)) for n, f in zip(names, files, strict=True)]
    except Exception as error:  # datasets and pyarrow raise arbitrary exceptions
        text = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"{source} must be a readable table; got: {text[:200]}") from error


def _has_rows(file: Path) -> bool:
    from pyarrow import parquet

    return parquet.read_metadata(file).num_rows > 0


def _open_arrow(path: Path) -> Any:
    """Open an Arrow file: a stream, as `datasets` writes it, or one with a footer, as Feather."""
    package = optional_dependencies.datasets()
    with path.open("rb") as file:
        if not file.read(len(ARROW_FILE)).startswith(ARROW_FILE):
            return package.Dataset.from_file(str(path))
    from pyarrow import ipc, memory_map

    with memory_map(str(path)) as source:
        return package.Dataset(ipc.open_file(source).read_all())


def _kind(feature: Any) -> str:
    """Name the kind of a column in messages."""
    if isinstance(feature, dict):
        return f"objects of {', '.join(feature)}"
    return (_dtype(feature) or type(feature).__name__).lower()


def _files(root: Path) -> list[str]:
    """List the files of a saved set, without those that `datasets` caches there."""
    found = [file for file in sorted(root.rglob("*")) if file.is_file()]
    return [f.relative_to(root).as_posix() for f in found if not f.name.startswith("cache-")]


def _labels_in(source: str, table: Any, others: dict[str, Any]) -> tuple[Labels, tuple[str, ...]]:
    """Find labels of the rows in the other columns of a table; else return the unused columns."""
    candidates = [name for name in others if type(others[name]).__name__ == "ClassLabel"]
    candidates += [n for n in others if n.lower() in LABEL_COLUMNS and n not in candidates]
    for name in candidates:
        try:
            found = encode_labels(table[name][:], getattr(others[name], "names", None) or ())
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        if found is not None:
            return found, ()
    return Labels(None), (*candidates, *(name for name in others if name not in candidates))


def _joined(source: str, labels: Sequence[Labels], tables: Sequence[_Table]) -> Labels:
    """Join the labels of several tables by the names of their classes.

    Warns if there are other columns, but none is usable.
    """
    unused = [name for table in tables for name in table.unused]
    if all(found.numbers is None for found in labels):
        if unused := list(dict.fromkeys(unused)):
            warnings.warn(
                f"{source}: not used as classes: {', '.join(unused[:MAX_NAMES_SHOWN])}"
                f"{', ...' if len(unused) > MAX_NAMES_SHOWN else ''}; labels must be a ClassLabel, "
                f"or integers or repeated strings in a column called {' or '.join(LABEL_COLUMNS)}",
                stacklevel=3,
            )
        return Labels(None)
    names = tuple(dict.fromkeys(name for found in labels for name in found.names))
    numbers = []
    for table, found in zip(tables, labels, strict=True):
        if found.numbers is None:
            numbers.append(np.full(len(table.rows), NO_LABEL, np.int64))
        else:
            places = np.array([*map(names.index, found.names), NO_LABEL], np.int64)
            numbers.append(places[found.numbers])
    return Labels(np.concatenate(numbers), names)


def _usable(source: str, labels: Labels, count: int) -> Labels:
    """Return labels, or none with a warning if too few of the `count` images have one."""
    if labels.numbers is None:
        return labels
    labeled = int((labels.numbers != NO_LABEL).sum())
    if labeled >= MIN_IMAGES:
        return labels
    warnings.warn(
        f"{source}: not used as classes: only {labeled} of {count} images have a label",
        stacklevel=3,
    )
    return Labels(None)


def _is_binary(feature: Any) -> bool:
    return _dtype(feature) in ("binary", "large_binary")


def _dtype(feature: Any) -> str:
    """Return the type of the values of a column; "" for one of several types."""
    return str(getattr(feature, "dtype", "") or "")


def _content(cell: dict[str, Any] | None) -> bytes:
    """Return the bytes of an image in the table, or at a path in the table."""
    if cell is None:
        raise SkippedFile("empty")
    if cell["bytes"] is not None:
        return cell["bytes"]
    if cell["path"] is None:
        raise SkippedFile("empty")
    path = Path(cell["path"])
    if not path.is_file():  # a device could be endless
        raise SkippedFile("no file", str(path))
    check_file_size(path.stat().st_size)
    return path.read_bytes()


IMAGE_FEATURES: tuple[Callable[[Any], bool], ...] = (  # in order of preference
    lambda feature: type(feature).__name__ == "Image",
    lambda feature: isinstance(feature, dict) and _is_binary(feature.get("bytes")),
    _is_binary,
)
