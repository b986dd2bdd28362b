"""A torch Dataset of map style as a dataset, one sample at a time."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multigan.arrays.datasets.arrays import (
    HELD_OUT,
    is_label,
    leaves,
    make_domain,
    split_bounds,
    to_tensor,
)
from multigan.core.protocols import Batch, Condition
from multigan.core.splits import WHOLE, check_split, split_members
from multigan.core.trees import tree_cat, tree_map

X_NAMES = ("x", "image", "images", "img", "pixel_values", "input", "features", "data")
Y_NAMES = ("y", "label", "labels", "target", "condition")
NUM_READ = 256  # samples read at the start, evenly spaced: for the fingerprint and the labels


class MapDataset:
    """Samples of an object with `__len__` and `__getitem__`, read when they are used.

    A sample is x, a pair (x, y), or a dictionary with a key of X_NAMES and perhaps of Y_NAMES.
    Random transforms are exact on resuming where they use torch's random numbers: the stream is
    seeded for each sample and epoch. The fingerprint covers NUM_READ samples, not all. Splits are
    as those of `ArrayDataset`, but not by class.
    """

    in_memory = False
    is_stochastic = True

    def __init__(self, source: Any, *, held_out: float = HELD_OUT) -> None:
        """Raises ValueError, in one line, for samples that cannot be read or differ in shape."""
        self.source, self.bounds, self.split_name = source, split_bounds(held_out), WHOLE
        if not len(source):
            raise ValueError("the dataset must have at least one sample; got none")
        self._members = torch.arange(len(source))
        first = self._probe()
        self.domain = make_domain(tuple(first.x.shape[1:]), first.condition)
        self.fingerprint = self._hash(first)

    def __len__(self) -> int:
        return len(self._members)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """Return the samples at `indices` (B,), with random transforms seeded by `rng`."""
        rows = self._members[indices.cpu()].tolist()
        seed = 0 if rng is None else rng.initial_seed()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
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
        part.fingerprint = part._hash(part._probe()) if len(part) else f"empty {name}"
        return part

    def _sample(self, row: int) -> Batch:
        x, y = parts_of(self.source[row])
        found = to_tensor(x, f"x of sample {row}")
        x = (found if found.ndim else found[None]).float()[None]
        return Batch(x, _condition(y, row))

    def _probe(self) -> Batch:
        count = min(len(self), NUM_READ)
        return self.batch(torch.arange(count) * len(self) // count)

    def _hash(self, read: Batch) -> str:
        """Hash the number of samples and the samples that were read to 32 hex digits."""
        digest = hashlib.blake2b(f"{len(self)} {self.split_name}".encode(), digest_size=16)
        for tensor in leaves(read):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def parts_of(item: Any) -> tuple[Any, Any]:
    """Return x and y of one item; y is None without. Raises ValueError for another item."""
    if isinstance(item, Mapping):
        return tuple(_named(item, names) for names in (X_NAMES, Y_NAMES))  # type: ignore[return-value]
    if isinstance(item, tuple | list):
        if len(item) not in (1, 2):
            raise ValueError(f"a sample must be x or a pair (x, y); got {len(item)} values")
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _named(item: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = next((name for name in names if name in item), None)
    if found is None and names is X_NAMES:
        raise ValueError(
            f"a sample must have one of the keys {', '.join(X_NAMES)}; got {', '.join(item)}: "
            "rename one, or give ArrayDataset(x, y)"
        )
    return None if found is None else item[found]


def _condition(y: Any, row: int) -> Condition:
    """Return the condition (1, ...) of one sample."""
    if y is None:
        return None
    if isinstance(y, Mapping):
        return {str(name): _condition(value, row) for name, value in y.items()}
    found = to_tensor(y, f"y of sample {row}")[None]
    return found if is_label(found) else found.float()
