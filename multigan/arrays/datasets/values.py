"""Values of the caller as tensors: samples, labels and other conditions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from multigan.core.protocols import Condition

X_NAMES = ("x", "image", "images", "img", "pixel_values", "input", "features", "data")
Y_NAMES = ("y", "label", "labels", "target", "condition")


@runtime_checkable
class SupportsArray(Protocol):
    """An object that NumPy can turn into an array."""

    def __array__(self) -> np.ndarray: ...


@runtime_checkable
class _TypedArray(Protocol):
    """An array of any package."""

    dtype: Any
    shape: Sequence[int]


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


def to_tensor(values: Any, name: str, has_rows: bool = True) -> Tensor:
    """Return numbers as float32, or int64 where they are integers, on the CPU.

    With `has_rows` the first axis is that of samples.

    Raises ValueError for anything that is no array of finite numbers.
    """
    try:
        if not isinstance(values, Tensor):
            values = np.asarray(values)
            if values.dtype.kind not in "biuf":
                raise TypeError(f"an array of {values.dtype}")
            values = torch.from_numpy(np.array(values, order="C"))  # a copy: it may be read-only
        elif values.is_complex() or values.is_meta:
            held = "on the meta device" if values.is_meta else f"of {values.dtype}"
            raise TypeError(f"a tensor {held}")
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name} must be an array of real numbers; got {reason}") from error
    found: Tensor = values.detach().cpu()
    found = found.float() if found.is_floating_point() else found.long()
    if found.is_floating_point() and len(found.shape) and not found.isfinite().all():
        row = int((~found.flatten(1 if found.ndim > 1 else 0).isfinite()).nonzero()[0][0])
        place = f" in sample {row}" if has_rows else ""
        raise ValueError(f"{name} must be finite; got NaN or infinity{place}")
    return found


def warn_of_bytes(x: Any, axes: int, stacklevel: int) -> None:
    """Warn if x holds bytes on `axes` axes or more: they are likely to be images."""
    if not hasattr(x, "dtype") and hasattr(x, "__array_interface__"):  # an image of Pillow
        x = np.asarray(x)
    if isinstance(x, _TypedArray) and "uint8" in str(x.dtype) and len(x.shape) >= axes:
        warnings.warn(
            "x holds bytes, and its values stay 0 to 255; for images use "
            "ImageDataset.from_arrays(x, y) of multigan.image.datasets.images",
            stacklevel=stacklevel,
        )


def numbered(y: Any) -> tuple[Any, tuple[str, ...]]:
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


def conditions(y: Any, count: int) -> Condition:
    """Return a tree of conditions of `count` samples: labels int64, all others float32.

    Integers (N, 1) are labels (N,).
    """
    if y is None:
        return None
    if isinstance(y, Mapping):
        return {str(name): conditions(values, count) for name, values in y.items()}
    found = to_tensor(y, "y")
    if not found.ndim or len(found) != count:
        got = len(found) if found.ndim else "a single number"
        raise ValueError(f"y must have {count} rows, one of each sample of x; got {got}")
    found = as_labels(found)
    return found if found.ndim == 1 else found.float()


def as_labels(y: Tensor) -> Tensor:
    """Return a column of integers (N, 1) as labels (N,), and anything else as it is."""
    is_column = y.ndim == 2 and y.shape[1] == 1 and y.dtype == torch.int64
    return y[:, 0] if is_column else y


def is_label(y: Condition) -> bool:
    """Check that a condition is one integer of each sample (N,)."""
    return isinstance(y, Tensor) and y.ndim == 1 and y.dtype == torch.int64
