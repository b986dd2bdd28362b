"""Plain data as datasets: arrays, pairs of arrays, torch datasets and tables of `datasets`."""

from __future__ import annotations

import sys
from typing import Any

from torch.utils.data import Dataset, IterableDataset, TensorDataset

from multigan.arrays.datasets.arrays import ArrayDataset
from multigan.arrays.datasets.map_style import MapDataset
from multigan.arrays.datasets.values import X_NAMES, Y_NAMES, SupportsArray

Adapted = ArrayDataset | MapDataset


def adapt(data: Any) -> Adapted | None:
    """Return plain data as a dataset; None for data of another kind.

    Raises ValueError, in one line, for data of these kinds that cannot be read.
    """
    if _is_table(data):
        return _of_table(data)
    if isinstance(data, TensorDataset):
        return _of_pair(data.tensors)
    if isinstance(data, IterableDataset):
        return _of_iterable(data)
    if isinstance(data, Dataset):
        return MapDataset(data)
    if isinstance(data, tuple):
        return _of_pair(data)
    if isinstance(data, list) and data and isinstance(data[0], tuple):
        if all(isinstance(value, int | float) for value in data[0]):
            return ArrayDataset(data)  # points, not pairs of a sample and its label
        return ArrayDataset.from_iterable(data, len(data))
    return ArrayDataset(data) if isinstance(data, list | SupportsArray) else None


def _of_pair(parts: tuple[Any, ...]) -> ArrayDataset:
    if len(parts) not in (1, 2):
        raise ValueError(f"data in a tuple must be a pair (x, y); got {len(parts)} values")
    return ArrayDataset(*parts)


def _of_iterable(data: Any) -> ArrayDataset:
    """Read a dataset of iterable style, as many samples as it states, once."""
    try:
        stated = len(data)
    except TypeError:
        raise ValueError(
            f"a dataset of iterable style must state its length in __len__; {type(data).__name__} "
            "has none"
        ) from None
    return ArrayDataset.from_iterable(data, stated)


def _is_table(data: Any) -> bool:
    """Check for an object of the package datasets, which is not imported for that."""
    package = sys.modules.get("datasets")
    names = ("Dataset", "IterableDataset", "DatasetDict", "IterableDatasetDict")
    kinds = [getattr(package, name, None) for name in names]  # another module may have the name
    return isinstance(data, tuple(kind for kind in kinds if isinstance(kind, type)))


def _of_table(data: Any) -> ArrayDataset:
    """Read the columns x and y of a `datasets.Dataset` once."""
    if isinstance(data, dict):
        raise ValueError(
            f"data must be one split of the table, as table['train']; got {list(data)}"
        )
    try:
        stated = len(data)
    except TypeError:
        raise ValueError(
            "a streamed table must state its length; got an IterableDataset: give "
            "ArrayDataset.from_iterable(table, length)"
        ) from None
    columns = list(data.column_names)
    x = next((name for name in X_NAMES if name in columns), None)
    y = next((name for name in Y_NAMES if name in columns), None)
    others = [name for name in columns if name != y]
    if x is None and len(others) == 1:
        x = others[0]
    if x is None:
        raise ValueError(
            f"the table must have one of the columns {', '.join(X_NAMES)}; got "
            f"{', '.join(columns)}: rename one, or give ArrayDataset(table['...'], table['...'])"
        )
    read = data.with_format("numpy").select_columns([x] if y is None else [x, y])
    rows = ((row[x], None if y is None else row[y]) for row in read)
    found = ArrayDataset.from_iterable(rows, stated)
    names = getattr(data.features.get(y), "names", None)  # of a ClassLabel
    return found.with_class_names(names) if names else found
