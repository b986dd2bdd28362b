"""Splits of a dataset by a hash of the index: the same on every machine and in every order.

A split is a fraction of each class, of samples sorted by a hash of their index; of all samples
where classes are too small for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

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
    check_split(split, bounds)
    order = sorted(range(count), key=shuffle_key)
    label_of = dict.fromkeys(order, 0) if labels is None else dict(enumerate(labels.tolist()))
    return torch.tensor(divide(order, label_of, bounds)[split], dtype=torch.long)


def divide(
    order: Sequence[int], label_of: Mapping[int, int], bounds: Bounds
) -> dict[str, list[int]]:
    """Return the members of each split, ascending: its fraction of each class, in `order`.

    Where classes are so small that a split would be empty, it has its fraction of all members;
    those of a class are spread over the splits as evenly as their number allows.
    """
    groups: dict[int, list[int]] = {}
    for index in order:
        groups.setdefault(label_of[index], []).append(index)
    splits = {name: _part(groups.values(), *ends) for name, ends in bounds.items()}
    if any(not splits[name] for name, (first, last) in bounds.items() if first < last):
        place = {k: (rank + 0.5) / len(g) for g in groups.values() for rank, k in enumerate(g)}
        even = sorted(order, key=place.__getitem__)  # classes in turn
        splits = {name: _part([even], *ends) for name, ends in bounds.items()}
    return splits


def _part(groups: Iterable[Sequence[int]], first: float, last: float) -> list[int]:
    return sorted(k for g in groups for k in g[round(first * len(g)) : round(last * len(g))])


def shuffle_key(index: int) -> bytes:
    """Hash an index to a sort key that does not depend on the version of any library."""
    return hashlib.blake2b(f"split {index}".encode(), digest_size=8).digest()
