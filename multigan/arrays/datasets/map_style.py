"""A torch Dataset of map style as a dataset, one sample at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multigan.arrays.datasets.arrays import HELD_OUT, make_domain, split_bounds
from multigan.arrays.datasets.values import (
    as_labels,
    conditions,
    is_label,
    numbered,
    parts_of,
    to_tensor,
    warn_of_bytes,
)
from multigan.core.fingerprint import fingerprint
from multigan.core.protocols import Batch, Condition
from multigan.core.splits import WHOLE, check_split, split_members
from multigan.core.trees import tree_cat, tree_leaves, tree_map

NUM_READ = 256  # samples read at the start, evenly spaced: for the fingerprint and the labels
ALL_LABELS = ("targets", "labels")  # attributes of a source with the label of every sample


class MapDataset:
    """Samples of an object with `__len__` and `__getitem__`, read when they are used.

    A sample is x, a pair (x, y), or a dictionary with a key of X_NAMES and perhaps of Y_NAMES.
    Integers y are labels, and strings too, numbered in alphabetical order. All labels are known
    from an attribute `targets` or `labels` of the object, else from NUM_READ samples; a sample with
    another label is refused. Random transforms are exact on resuming where they use torch's random
    numbers: the stream is seeded for each sample and epoch. The fingerprint covers NUM_READ
    samples, not all. Splits are as those of `ArrayDataset`, but not by class.
    """

    in_memory = False
    is_stochastic = True
    _known: frozenset[int] = frozenset()  # labels; empty until all are known

    def __init__(self, source: Any, *, held_out: float = HELD_OUT) -> None:
        """Raises ValueError, in one line, for samples that cannot be read or differ in shape."""
        self.source, self.bounds, self.split_name = source, split_bounds(held_out), WHOLE
        if not hasattr(source, "__len__"):
            raise ValueError(
                "a dataset of map style must state its length in __len__; "
                f"{type(source).__name__} has none"
            )
        if not len(source):
            raise ValueError("the dataset must have at least one sample; got none")
        warn_of_bytes(self._parts(0)[0], 2, stacklevel=5)
        self._members = torch.arange(len(source))
        self._prints: dict[str, str] = {}  # split -> fingerprint
        self._names, self._labels = self._all_labels()
        first = self._probe()
        known = self._labels
        if known is None and is_label(first.condition):
            known = first.condition
        labels = first.condition if known is None else known
        self.domain = make_domain(tuple(first.x.shape[1:]), labels, self._names)
        self._known = frozenset(self.domain.labels)
        self.fingerprint = self._prints[WHOLE] = self._hash(first)

    def __len__(self) -> int:
        return len(self._members)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """Return the samples at `indices` (B,), with random transforms seeded by `rng`.

        Raises ValueError for a label that is not known, and for samples of several shapes.
        """
        rows = self._members[indices.cpu()].tolist()
        seed = 0 if rng is None else rng.initial_seed()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed reaches every device
            parts = [self._sample(row) for row in rows]
        try:
            batch: Batch = tree_cat(parts)
        except RuntimeError as error:
            raise ValueError(f"all samples must have one shape; got {error}") from error
        return tree_map(lambda leaf: leaf.to(indices.device), batch)

    def split(self, name: str) -> MapDataset:
        """Return the split "train", "valid" or "test" of all samples.

        Raises ValueError for another name.
        """
        part = copy.copy(self)
        part._members = split_members(
            len(self.source), None, check_split(name, self.bounds), self.bounds
        )
        part.split_name = name
        if name not in self._prints:
            self._prints[name] = part._hash(part._probe()) if len(part) else f"empty {name}"
        part.fingerprint = self._prints[name]
        return part

    def _all_labels(self) -> tuple[tuple[str, ...], Tensor | None]:
        """Return the names of labels that are strings, and all labels (N,) if they are known."""
        y = self._parts(0)[1]
        is_string = isinstance(y, str)
        stated = next(
            (getattr(self.source, n) for n in ALL_LABELS if hasattr(self.source, n)), None
        )
        if stated is None or len(stated) != len(self.source):
            stated = [self._parts(row)[1] for row in self._probed()] if is_string else None
        if stated is None or y is None:
            return (), None
        numbers, names = numbered(stated)
        found = conditions(numbers, len(numbers))
        fits = is_label(found) and (y in names if is_string else not names)
        return (names, found) if fits else ((), None)

    def _parts(self, row: int) -> tuple[Any, Any]:
        """Return x and y of one row; an error of the source becomes one line that names the row."""
        try:
            item = self.source[row]
        except Exception as error:  # a dataset of the caller raises arbitrary exceptions
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"sample {row} of the dataset cannot be read: {reason}") from error
        return parts_of(item)

    def _sample(self, row: int) -> Batch:
        x, y = self._parts(row)
        found = to_tensor(x, f"x of sample {row}", has_rows=False)
        x = (found if found.ndim else found[None]).float()[None]
        return Batch(x, self._condition(y, row))

    def _condition(self, y: Any, row: int) -> Condition:
        """Return the condition (1, ...) of one sample."""
        if y is None:
            return None
        if isinstance(y, Mapping):
            return {str(name): self._condition(value, row) for name, value in y.items()}
        if isinstance(y, str):
            if y not in self._names:
                raise _unknown(y, row, self._names)
            return torch.tensor([self._names.index(y)])
        found = as_labels(to_tensor(y, f"y of sample {row}", has_rows=False)[None])
        if not is_label(found):
            return found.float()
        if self._known and int(found) not in self._known:
            raise _unknown(int(found), row, sorted(self._known))
        return found

    def _probed(self) -> list[int]:
        """Return the rows of the source that are read at the start."""
        count = min(len(self), NUM_READ)
        rows: list[int] = self._members[torch.arange(count) * len(self) // count].tolist()
        return rows

    def _probe(self) -> Batch:
        count = min(len(self), NUM_READ)
        return self.batch(torch.arange(count) * len(self) // count)

    def _hash(self, read: Batch) -> str:
        """Hash the number of samples and the samples that were read to 32 hex digits."""
        contents = (tensor.contiguous().numpy().tobytes() for tensor in tree_leaves(tuple(read)))
        return fingerprint((f"{len(self)} {self.split_name}", *contents))


def _unknown(label: Any, row: int, known: Any) -> ValueError:
    shown = ", ".join(map(str, list(known)[:10])) + (", ..." if len(known) > 10 else "")
    return ValueError(
        f"the label of sample {row} must be one of the {len(known)} that were read at the start, "
        f"{shown}; got {label!r}: give the dataset an attribute targets with the label of every "
        "sample, or use ArrayDataset(x, y)"
    )
