"""Arrays as a dataset, in memory or in a file."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from multigan.arrays.datasets.iterables import read_samples
from multigan.arrays.datasets.values import (
    conditions,
    is_label,
    numbered,
    to_tensor,
    warn_of_bytes,
)
from multigan.arrays.domain import ArrayDomain
from multigan.core.fingerprint import fingerprint
from multigan.core.protocols import Batch, Condition
from multigan.core.splits import WHOLE, Bounds, check_split, split_members
from multigan.core.trees import tree_leaves, tree_map
from multigan.storage.row_files import StoredRows, read_rows, row_blocks

HELD_OUT = 0.2  # of the samples, by default: half of it each for validation and test
MAX_CLASSES = 1000  # more different integers are no labels
MAX_EXAMPLES = 64  # conditions that a domain keeps to sample under


class ArrayDataset:
    """Samples x (N, ...), and labels or other conditions y (N, ...).

    x and y are numpy arrays, tensors or anything that numpy can read; y may be a dictionary of
    them. Values are not scaled: x becomes float32, values (N,) become (N, 1). Integers y (N,) or
    (N, 1) are labels (N,) of the networks; strings are numbered in alphabetical order. Any other
    y is float32. All are copied to the CPU; in training those in memory move to its device, once.

    The object holds all samples. A recipe trains on its training split; the fraction `held_out`
    is set aside, half of it for validation and half for test, the same of each class. With
    `held_out=0` all samples are for training, and nothing can be evaluated.
    """

    is_stochastic = False

    def __init__(
        self, x: Any, y: Any = None, *, held_out: float = HELD_OUT, split: str = WHOLE
    ) -> None:
        """Raises ValueError, in one line, for arrays that cannot be samples and conditions."""
        self.x: Tensor | StoredRows = x if isinstance(x, StoredRows) else _samples(x)
        self.in_memory = isinstance(self.x, Tensor)
        names: tuple[str, ...] = ()
        if y is not None and not isinstance(y, Mapping):
            y, names = numbered(y)
        self.y: Condition = conditions(y, len(self.x))
        self.bounds = split_bounds(held_out)
        self.domain = make_domain(tuple(self.x.shape[1:]), self.y, names)
        self._classes = self.y.clone() if self.domain.labels else None
        self._known: dict[str, tuple[Tensor, str]] = {}  # split -> members, hash; of all splits
        self._take(split)

    @classmethod
    def from_iterable(
        cls,
        samples: Iterable[Any],
        length: int,
        *,
        held_out: float = HELD_OUT,
        in_memory: str = "auto",
    ) -> ArrayDataset:
        """Read `length` samples x, pairs (x, y) or dictionaries once, in their order.

        A streamed table of `datasets`, a torch IterableDataset and a generator are such iterables.
        `in_memory` is "yes", "no" or "auto", by the size of x: see `fits_in_memory`. What is not in
        memory is in a file of the cache that only this process sees. Raises ValueError, in one
        line, for another number of samples, or samples of several shapes.
        """
        return cls(*read_samples(samples, length, in_memory), held_out=held_out)

    def with_class_names(self, names: Sequence[str]) -> ArrayDataset:
        """Return these samples with the name of each label; a label without one keeps its number.

        Without labels nothing changes.
        """
        named, labels = copy.copy(self), self.domain.labels
        found = tuple(names[k] if 0 <= k < len(names) else str(k) for k in labels)
        domain = ArrayDomain(self.domain.shape, labels, found)
        named.domain = domain.with_conditions(self.domain.conditions)
        return named

    def _take(self, split: str) -> None:
        """Restrict this object to a split of the arrays."""
        if split not in self._known:
            members = split_members(len(self.x), self._classes, split, self.bounds)
            self._known[split] = members, self._hash(members)
        self._members, self.fingerprint = self._known[split]
        self.split_name = split

    def __len__(self) -> int:
        return len(self._members)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """Return the samples at `indices` (B,), on their device; `rng` is not used."""
        device = indices.device
        if self._members.device != device:
            self.y, self._members = tree_map(lambda leaf: leaf.to(device), (self.y, self._members))
            self.x = self.x.to(device) if isinstance(self.x, Tensor) else self.x
        rows = self._members[indices]
        return Batch(read_rows(self.x[rows]).to(device), tree_map(lambda leaf: leaf[rows], self.y))

    def prefetch(self, indices: Tensor) -> None:
        """Ask the system to read the samples at `indices` (B,) ahead, if they are in a file."""
        if isinstance(self.x, StoredRows):
            self.x[self._members[indices.to(self._members.device)]].prefetch()

    def split(self, name: str) -> ArrayDataset:
        """Return the split "train", "valid" or "test" of all samples; the arrays are shared.

        Raises ValueError for another name.
        """
        part = copy.copy(self)
        part._take(check_split(name, self.bounds))
        arguments = vars(self).get("_component_arguments", {})
        if "split" in arguments:  # of a component made of arrays: what it is rebuilt from
            vars(part)["_component_arguments"] = arguments | {"split": name}
        return part

    def _hash(self, members: Tensor) -> str:
        """Hash the shapes and bytes of a split to 32 hex digits."""

        def parts() -> Iterator[object]:
            for values in (self.x, *tree_leaves(self.y)):
                own = values[members.to(values.device) if isinstance(values, Tensor) else members]
                yield tuple(own.shape), str(own.dtype)
                yield from (block.cpu().contiguous().numpy().data for block in row_blocks(own))

        return fingerprint(parts())


def split_bounds(held_out: float) -> Bounds:
    """Return the fractions of each split. Raises ValueError for a `held_out` outside [0, 1)."""
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out must be a fraction in [0, 1); got {held_out}")
    first, middle = 1 - held_out, 1 - held_out / 2
    return {"train": (0.0, first), "valid": (first, middle), "test": (middle, 1.0)}


def make_domain(shape: tuple[int, ...], y: Condition, names: tuple[str, ...] = ()) -> ArrayDomain:
    """Return the domain of samples of `shape` under conditions `y`; `names` are of its labels."""
    labels = tuple(y.unique().tolist()) if is_label(y) else ()
    if len(labels) > MAX_CLASSES:
        labels = ()
    names = names if len(names) == len(labels) else tuple(map(str, labels))
    return ArrayDomain(shape, labels, names).with_conditions(
        tree_map(lambda leaf: leaf[:MAX_EXAMPLES].cpu().clone(), y)
    )


def _samples(x: Any) -> Tensor:
    """Return samples (N, ...) float32."""
    found = to_tensor(x, "x")
    if not found.ndim or not len(found) or not found.numel():
        raise ValueError(
            f"x must have samples on its first axis; got the shape {tuple(found.shape)}"
        )
    warn_of_bytes(x, 3, stacklevel=4)
    return (found[:, None] if found.ndim == 1 else found).float()
