"""Picture sets in Parquet and Arrow files, as Hugging Face's `datasets` writes them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multigan import optional
from multigan.caches import cache_folder
from multigan.image.arrays import pictures_of
from multigan.image.decoding import Size, Unusable, decode, demand_small
from multigan.image.folder import NAMED
from multigan.image.pictures import Pictures, demand_enough

SUFFIXES = (".parquet", ".arrow")


def holds_tables(folder: Path) -> bool:
    """Whether a folder is a set saved by `datasets`, or holds Parquet files."""
    return (folder / "dataset_info.json").is_file() or any(folder.rglob("*.parquet"))


def read_table(source: str, size: Size) -> Pictures:
    """The pictures of a Parquet or Arrow file, of a folder of Parquet files, or of a saved set.

    The first column of pictures is read, and the first of class labels. Rows that cannot be
    decoded are counted and numbered in a warning. Raises ValueError without such a column.
    """
    table = _open(source)
    features = dict(table.features)
    pictures = _columns(features, "Image")
    if not pictures:
        raise ValueError(f"{source}: no column of pictures; its columns: {', '.join(features)}")
    column, labels = pictures[0], next(iter(_columns(features, "ClassLabel")), None)
    table = table.cast_column(column, optional.datasets().Image(decode=False))
    pixels, used, skipped = [], [], []
    for row, cell in enumerate(table.select_columns([column])):
        try:
            pixels.append(decode(_content(cell[column]), size))
            used.append(row)
        except Exception as error:  # decoders meet damage in as many ways as there are
            skipped.append(f"row {row}: {' '.join(str(error).split())[:80]}")
    said = f"{len(skipped)} of {len(table)} rows are not used: {'; '.join(skipped[:NAMED])}"
    demand_enough(source, len(pixels), said if skipped else "")
    if skipped:
        warnings.warn(f"{source}: {said}{'; ...' if len(skipped) > NAMED else ''}", stacklevel=2)
    channels = max(map(len, pixels))
    stacked = np.stack([np.broadcast_to(p, (channels, *size)) for p in pixels])
    numbers = [] if labels is None else [np.asarray(table[labels])[used]]
    names = () if labels is None else features[labels].names
    return pictures_of(source, torch.from_numpy(stacked), numbers, names, size)


def _open(source: str) -> Any:
    """The rows of all splits, in order."""
    package, path = optional.datasets(), Path(source)
    try:
        if (path / "dataset_info.json").is_file():
            return package.load_from_disk(source)
        if path.suffix == ".arrow":
            return package.Dataset.from_file(source)
        files = sorted(map(str, path.rglob("*.parquet"))) if path.is_dir() else source
        return package.Dataset.from_parquet(files, cache_dir=str(cache_folder() / "datasets"))
    except Exception as error:  # datasets and pyarrow meet damage in as many ways as there are
        said = " ".join(str(error).split())
        raise ValueError(f"{source} is no table that can be read: {said[:200]}") from error


def _columns(features: dict[str, Any], kind: str) -> list[str]:
    return [name for name, feature in features.items() if type(feature).__name__ == kind]


def _content(cell: dict[str, Any] | None) -> bytes:
    """The bytes of a picture that stands in the table, or at a path that it names."""
    if cell is None:
        raise Unusable("empty")
    if cell["bytes"] is not None:
        return cell["bytes"]
    path = Path(cell["path"])
    if not path.is_file():  # a device has no end
        raise Unusable("no file", str(path))
    demand_small(path.stat().st_size)
    return path.read_bytes()
