"""Samples of an iterable, read once: in memory, or in a file if they are large."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from multigan.arrays.datasets.values import parts_of, to_tensor, warn_of_bytes
from multigan.storage.dataset_memory import fits_in_memory
from multigan.storage.row_files import RowWriter, StoredRows, open_once, writable_cache


def read_samples(
    items: Iterable[Any], length: int, in_memory: str = "auto"
) -> tuple[Tensor | StoredRows, Any]:
    """Return x (length, ...) float32 and y (length, ...) or None of samples, in their order.

    A sample is x, a pair (x, y) or a dictionary with one of X_NAMES. Raises ValueError, in one
    line, for another number of samples, or several shapes.
    """
    if length < 1:
        raise ValueError(f"the dataset must have at least one sample; got a length of {length}")
    samples = iter(items)
    x, y = _sample(next(samples, None), 0, length)
    num_bytes = length * 4 * math.prod(x.shape)
    folder = None if fits_in_memory(num_bytes, in_memory) else writable_cache()[0]
    conditions = [y]
    with RowWriter(x.shape, "float32", folder) as writer:
        writer.append(x[None].numpy())
        for number, item in enumerate(samples, 1):
            if number == length:
                raise ValueError(
                    f"a dataset of iterable style must yield its length, {length}; got more"
                )
            found, y = _sample(item, number, length)
            if found.shape != x.shape:
                raise ValueError(
                    f"all samples must have one shape, {tuple(x.shape)}; got "
                    f"{tuple(found.shape)} in sample {number}"
                )
            writer.append(found[None].numpy())
            conditions.append(y)
        if len(conditions) != length:
            raise ValueError(
                f"a dataset of iterable style must yield its length, {length}; got "
                f"{len(conditions)}"
            )
        if folder is None:
            return writer.tensor(), _joined(conditions)
        file = folder / f".samples-{os.getpid()}-{id(writer)}.tmp"
        writer.save(file, None)
        return open_once(file), _joined(conditions)


def _sample(item: Any, number: int, length: int) -> tuple[Tensor, Any]:
    """Return x, of one axis or more, and y of one sample."""
    if item is None:
        raise ValueError(f"a dataset of iterable style must yield its length, {length}; got 0")
    x, y = parts_of(item)
    found = to_tensor(x, f"x of sample {number}", has_rows=False)
    if not number:
        warn_of_bytes(x, 2, stacklevel=5)
    return (found if found.ndim else found[None]).float(), y


def _joined(conditions: list[Any]) -> Any:
    """Stack the conditions of all samples; None if there are none."""
    first = conditions[0]
    if first is None:
        return None
    if isinstance(first, Mapping):
        return {name: _joined([one[name] for one in conditions]) for name in first}
    if not isinstance(first, Tensor):
        return conditions
    try:
        return torch.stack(conditions)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"all conditions y must have one shape; got {error}") from error
