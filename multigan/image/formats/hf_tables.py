"""Image datasets in Parquet and Arrow files, as written by Hugging Face `datasets`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multigan.core import optional_dependencies
from multigan.image.formats.arrays import images_from_arrays
from multigan.image.formats.decode import Size, SkippedFile, check_file_size, decode
from multigan.image.formats.folder import MAX_NAMES_SHOWN
from multigan.image.formats.labels import LABEL_COLUMNS, encode_labels
from multigan.image.formats.resize import ImageArrays, check_min_images
from multigan.storage.files import cache_dir

SUFFIXES = (".parquet", ".arrow")
INFO_FILES = ("dataset_info.json", "dataset_dict.json")  # in a folder of save_to_disk


def is_hf_dataset(folder: Path) -> bool:
    """Return True for a folder saved by `datasets`, or with Parquet files."""
    return _is_saved(folder) or any(folder.rglob("*.parquet"))


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in INFO_FILES)


def read_table(source: str, size: Size) -> ImageArrays:
    """Read the images of a Parquet or Arrow file, of a folder of Parquet files, or of a saved set.

    The image column is the first one of images, or of their bytes. The label column is the first
    one of class labels, or of integers or strings with a name in LABEL_COLUMNS. Warnings count the
    rows that cannot be decoded, and list the other columns if there are no labels. Raises
    ValueError without a column of images.
    """
    table = _open(source)
    features = dict(table.features)
    column = next(
        (name for holds in IMAGE_FEATURES for name in features if holds(features[name])), None
    )
    if column is None:
        raise ValueError(f"{source} must have a column of images; got {', '.join(features)}")
    del features[column]
    labels, names = _labels_in(source, table, features)
    table = table.cast_column(column, optional_dependencies.datasets().Image(decode=False))
    pixels, used, skipped = [], [], []
    for row, cell in enumerate(table.select_columns([column])):
        try:
            pixels.append(decode(_content(cell[column]), size))
            used.append(row)
        except Exception as error:  # third-party decoders raise arbitrary exceptions
            skipped.append(f"row {row}: {' '.join(str(error).split())[:80]}")
    summary = f"{len(skipped)} of {len(table)} rows are skipped: "
    summary += "; ".join(skipped[:MAX_NAMES_SHOWN])
    check_min_images(source, len(pixels), summary if skipped else "")
    if skipped:
        warnings.warn(
            f"{source}: {summary}{'; ...' if len(skipped) > MAX_NAMES_SHOWN else ''}", stacklevel=2
        )
    channels = max(map(len, pixels))
    stacked = np.stack([np.broadcast_to(p, (channels, *size)) for p in pixels])
    numbers = [] if labels is None else [labels[used]]
    return images_from_arrays(source, torch.from_numpy(stacked), numbers, names, size)


def _open(source: str) -> Any:
    """Open the rows of all splits, in order."""
    package, path = optional_dependencies.datasets(), Path(source)
    try:
        if _is_saved(path):
            saved = package.load_from_disk(source)
            whole = isinstance(saved, package.Dataset)
            return saved if whole else package.concatenate_datasets(list(saved.values()))
        if path.suffix == ".arrow":
            return package.Dataset.from_file(source)
        files = sorted(map(str, path.rglob("*.parquet"))) if path.is_dir() else source
        return package.Dataset.from_parquet(files, cache_dir=str(cache_dir() / "datasets"))
    except Exception as error:  # datasets and pyarrow raise arbitrary exceptions
        text = " ".join(str(error).split())
        raise ValueError(f"{source} must be a readable table; got: {text[:200]}") from error


def _labels_in(
    source: str, table: Any, others: dict[str, Any]
) -> tuple[np.ndarray | None, Sequence[str]]:
    """Find labels (N,) in the other columns of a table, and the class names if it has any.

    Warns if there are other columns, but none is usable.
    """
    candidates = [name for name in others if type(others[name]).__name__ == "ClassLabel"]
    candidates += [n for n in others if n.lower() in LABEL_COLUMNS and n not in candidates]
    for name in candidates:
        if (found := encode_labels(table[name][:])) is not None:
            labels, names = found
            return labels, getattr(others[name], "names", names)
    unused = candidates + [name for name in others if name not in candidates]
    if unused:
        warnings.warn(
            f"{source}: not used as classes: {', '.join(unused[:MAX_NAMES_SHOWN])}"
            f"{', ...' if len(unused) > MAX_NAMES_SHOWN else ''}; labels must be a ClassLabel, or "
            f"integers or repeated strings in a column called {' or '.join(LABEL_COLUMNS)}",
            stacklevel=3,
        )
    return None, ()


def _is_binary(feature: Any) -> bool:
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def _content(cell: dict[str, Any] | None) -> bytes:
    """Return the bytes of an image in the table, or at a path in the table."""
    if cell is None:
        raise SkippedFile("empty")
    if cell["bytes"] is not None:
        return cell["bytes"]
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
