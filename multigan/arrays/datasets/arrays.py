"""Arrays in memory as a dataset."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multigan.arrays.domain import ArrayDomain
from multigan.core.protocols import Batch, Condition
from multigan.core.splits import WHOLE, Bounds, check_split, split_members
from multigan.core.trees import tree_map

HELD_OUT = 0.2  # of the samples, by default: half of it each for validation and test
MAX_CLASSES = 1000  # more different integers are no labels
MAX_EXAMPLES = 64  # conditions that a domain keeps to sample under


class ArrayDataset:
    """Samples x (N, ...), and labels or other conditions y (N, ...), kept in memory.

    x and y are numpy arrays, tensors or anything that numpy can read; y may be a dictionary of
    them. Values are not scaled: x becomes float32, values (N,) become (N, 1). Integers y (N,) are
    labels and reach the networks as they are; strings are numbered in alphabetical order. Any other
    y is float32.

    The object holds all samples. A recipe trains on its training split; the fraction `held_out`
    is set aside, half of it for validation and half for test, the same of each class. With
    `held_out=0` all samples are for training, and nothing can be evaluated.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self, x: Any, y: Any = None, *, held_out: float = HELD_OUT, split: str = WHOLE
    ) -> None:
        """Raises ValueError, in one line, for arrays that cannot be samples and conditions."""
        self.x = _samples(x)
        names: tuple[str, ...] = ()
        if y is not None and not isinstance(y, Mapping):
            y, names = _numbered(y)
        self.y: Condition = _conditions(y, len(self.x))
        self.bounds = split_bounds(held_out)
        self.domain = make_domain(tuple(self.x.shape[1:]), self.y, names)
        self._classes = self.y.clone() if self.domain.labels else None
        self._take(split)

    def _take(self, split: str) -> None:
        """Restrict this object to a split of the arrays."""
        members = split_members(len(self.x), self._classes, split, self.bounds)
        self._members = members.to(self.x.device)
        self.split_name = split
        self.fingerprint = self._hash()

    def __len__(self) -> int:
        return len(self._members)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """Return the samples at `indices` (B,), on their device; `rng` is not used."""
        if self.x.device != indices.device:
            self.x, self.y, self._members = tree_map(
                lambda leaf: leaf.to(indices.device), (self.x, self.y, self._members)
            )
        rows = self._members[indices]
        return Batch(self.x[rows], tree_map(lambda leaf: leaf[rows], self.y))

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

    def _hash(self) -> str:
        """Hash the shapes and bytes of this split to 32 hex digits."""
        digest = hashlib.blake2b(digest_size=16)
        for tensor in leaves((self.x, self.y)):
            own = tensor.cpu()[self._members.cpu()]
            digest.update(repr((tuple(own.shape), str(own.dtype))).encode())
            digest.update(own.contiguous().numpy().tobytes())
        return digest.hexdigest()


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


def is_label(y: Condition) -> bool:
    """Check that a condition is one integer of each sample (N,)."""
    return isinstance(y, Tensor) and y.ndim == 1 and y.dtype == torch.int64


def leaves(tree: Any) -> list[Tensor]:
    """Return the tensors of a tree, in order."""
    found: list[Tensor] = []
    tree_map(found.append, tree)
    return found


def to_tensor(values: Any, name: str) -> Tensor:
    """Return numbers as float32, or int64 where they are integers, on the CPU.

    Raises ValueError for anything that is no array of finite numbers.
    """
    try:
        if not isinstance(values, Tensor):
            values = np.asarray(values)
            if values.dtype.kind not in "biuf":
                raise TypeError(f"an array of {values.dtype}")
            values = torch.from_numpy(np.array(values, order="C"))  # a copy: it may be read-only
        elif values.is_complex():
            raise TypeError(f"a tensor of {values.dtype}")
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name} must be an array of real numbers; got {reason}") from error
    found: Tensor = values.detach().cpu()
    found = found.float() if found.is_floating_point() else found.long()
    if found.is_floating_point() and len(found.shape) and not found.isfinite().all():
        row = int((~found.flatten(1 if found.ndim > 1 else 0).isfinite()).nonzero()[0][0])
        raise ValueError(f"{name} must be finite; got NaN or infinity in sample {row}")
    return found


def _samples(x: Any) -> Tensor:
    """Return samples (N, ...) float32."""
    kind = str(getattr(x, "dtype", ""))
    found = to_tensor(x, "x")
    if not found.ndim or not len(found) or not found.numel():
        raise ValueError(
            f"x must have samples on its first axis; got the shape {tuple(found.shape)}"
        )
    if "uint8" in kind and found.ndim > 2:
        warnings.warn(
            "x holds bytes, and its values stay 0 to 255; for images use "
            "ImageDataset.from_arrays(x, y) of multigan.image.datasets.images",
            stacklevel=3,
        )
    return (found[:, None] if found.ndim == 1 else found).float()


def _numbered(y: Any) -> tuple[Any, tuple[str, ...]]:
    """Number strings (N,) in alphabetical order, with their names; return anything else as is."""
    if isinstance(y, Tensor):
        return y, ()
    array = np.asarray(y)
    strings = array.dtype.kind in "US" or (
        array.dtype == object and all(isinstance(value, str) for value in array.ravel())
    )
    if not strings or array.ndim != 1:
        return y, ()
    names, numbers = np.unique(array.astype(str), return_inverse=True)
    return numbers, tuple(names.tolist())


def _conditions(y: Any, count: int) -> Condition:
    """Return a tree of conditions of `count` samples: labels int64, all others float32."""
    if y is None:
        return None
    if isinstance(y, Mapping):
        return {str(name): _conditions(values, count) for name, values in y.items()}
    found = to_tensor(y, "y")
    if not found.ndim or len(found) != count:
        got = len(found) if found.ndim else "a single number"
        raise ValueError(f"y must have {count} rows, one of each sample of x; got {got}")
    return found if found.ndim == 1 else found.float()
