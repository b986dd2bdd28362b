"""Splits of a dataset by a hash of the index: the same on every machine and in every order.

A split is a fraction of each class, of samples sorted by a hash of their index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

Bounds = Mapping[str, tuple[float, float]]  # split -> the fractions of each class where it is
WHOLE = "all"  # the split name of a dataset that is not split yet


def check_split(name: str, bounds: Bounds) -> str:
    """Return the name. Raises ValueError for the name of no split."""
    if name not in bounds:
        raise ValueError(f"split must be one of {', '.join(bounds)}; got {name!r}")
    return name


def split_members(count: int, labels: Tensor | None, split: str, bounds: Bounds) -> Tensor:
    """Return the indices (n,) of a split, ascending; `labels` (count,) are the classes, if any.

    Raises ValueError for the name of no split.
    """
    if split == WHOLE:
        return torch.arange(count)
    first, last = bounds[check_split(split, bounds)]
    groups: dict[int, list[int]] = {}
    classes = [0] * count if labels is None else labels.tolist()
    for index in sorted(range(count), key=shuffle_key):
        groups.setdefault(classes[index], []).append(index)
    parts = [g[round(first * len(g)) : round(last * len(g))] for g in groups.values()]
    return torch.tensor(sorted(index for part in parts for index in part), dtype=torch.long)


def shuffle_key(index: int) -> bytes:
    """Hash an index to a sort key that does not depend on the version of any library."""
    return hashlib.blake2b(f"split {index}".encode(), digest_size=8).digest()
