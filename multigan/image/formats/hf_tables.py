"""Picture sets in Parquet and Arrow files, as Hugging Face's `datasets` writes them."""

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
from multigan.image.formats.folder import NAMED
from multigan.image.formats.labels import LABEL_COLUMNS, encode_labels
from multigan.image.formats.resize import ImageArrays, check_min_images
from multigan.storage.files import cache_dir

SUFFIXES = (".parquet", ".arrow")
SAVED = ("dataset_info.json", "dataset_dict.json")  # in a folder of save_to_disk


def is_hf_dataset(folder: Path) -> bool:
    """Whether a folder is a set saved by `datasets`, or several, or holds Parquet files."""
    return _is_saved(folder) or any(folder.rglob("*.parquet"))


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in SAVED)


def read_table(source: str, size: Size) -> ImageArrays:
    """The pictures of a Parquet or Arrow file, of a folder of Parquet files, or of a saved set.

    The first column of pictures, or of their bytes, is read, and the first of class labels, or that
    of whole numbers or text whose name is one of CALLED. Rows that cannot be decoded are counted
    and numbered in a warning; without labels one names the columns that might be some. Raises
    ValueError without a column of pictures.
    """
    table = _open(source)
    features = dict(table.features)
    column = next((name for holds in PICTURES for name in features if holds(features[name])), None)
    if column is None:
        raise ValueError(f"{source}: no column of pictures; its columns: {', '.join(features)}")
    del features[column]
    labels, names = _labels_in(source, table, features)
    table = table.cast_column(column, optional_dependencies.datasets().Image(decode=False))
    pixels, used, skipped = [], [], []
    for row, cell in enumerate(table.select_columns([column])):
        try:
            pixels.append(decode(_content(cell[column]), size))
            used.append(row)
        except Exception as error:  # decoders meet damage in as many ways as there are
            skipped.append(f"row {row}: {' '.join(str(error).split())[:80]}")
    said = f"{len(skipped)} of {len(table)} rows are not used: {'; '.join(skipped[:NAMED])}"
    check_min_images(source, len(pixels), said if skipped else "")
    if skipped:
        warnings.warn(f"{source}: {said}{'; ...' if len(skipped) > NAMED else ''}", stacklevel=2)
    channels = max(map(len, pixels))
    stacked = np.stack([np.broadcast_to(p, (channels, *size)) for p in pixels])
    numbers = [] if labels is None else [labels[used]]
    return images_from_arrays(source, torch.from_numpy(stacked), numbers, names, size)


def _open(source: str) -> Any:
    """The rows of all splits, in order."""
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
    except Exception as error:  # datasets and pyarrow meet damage in as many ways as there are
        said = " ".join(str(error).split())
        raise ValueError(f"{source} is no table that can be read: {said[:200]}") from error


def _labels_in(
    source: str, table: Any, others: dict[str, Any]
) -> tuple[np.ndarray | None, Sequence[str]]:
    """The labels (N,) in the other columns of a table, and the names of its classes if it says any.

    Warns if there are such columns, but none can be used.
    """
    said = [name for name in others if type(others[name]).__name__ == "ClassLabel"]
    said += [name for name in others if name.lower() in LABEL_COLUMNS and name not in said]
    for name in said:
        if (found := encode_labels(table[name][:])) is not None:
            labels, names = found
            return labels, getattr(others[name], "names", names)
    told = said + [name for name in others if name not in said]
    if told:
        warnings.warn(
            f"{source}: not used as classes: {', '.join(told[:NAMED])}"
            f"{', ...' if len(told) > NAMED else ''}; wanted a ClassLabel, or whole numbers or "
            f"repeated texts in a column called {' or '.join(LABEL_COLUMNS)}",
            stacklevel=3,
        )
    return None, ()


def _is_binary(feature: Any) -> bool:
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def _content(cell: dict[str, Any] | None) -> bytes:
    """The bytes of a picture that stands in the table, or at a path that it names."""
    if cell is None:
        raise SkippedFile("empty")
    if cell["bytes"] is not None:
        return cell["bytes"]
    path = Path(cell["path"])
    if not path.is_file():  # a device has no end
        raise SkippedFile("no file", str(path))
    check_file_size(path.stat().st_size)
    return path.read_bytes()


PICTURES: tuple[Callable[[Any], bool], ...] = (  # features that hold pictures, the best first
    lambda feature: type(feature).__name__ == "Image",
    lambda feature: isinstance(feature, dict) and _is_binary(feature.get("bytes")),
    _is_binary,
)
