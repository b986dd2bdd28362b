"""Arrays by name: a synthetic set, and files of numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from multigan.arrays.datasets.arrays import HELD_OUT, ArrayDataset
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component
from multigan.core.splits import WHOLE
from multigan.storage.files import read_arrays

MOONS, MOONS_NOISE = 4000, 0.1  # samples; standard deviation of both coordinates
MAX_LABEL, REPEATS = 1e6, 10  # of floating-point labels: their size, their occurrences each
Pair = tuple[object, object]


@component
class ArraySource(ArrayDataset):
    """The arrays of a source: a key of SOURCES, a .npy file, or an .npz file with x and perhaps y.

    A .npz file with one array has no y. Small whole floating-point numbers y (N,), ten times
    as many as different ones, are labels.
    """

    def __init__(self, source: str, held_out: float = HELD_OUT, split: str = WHOLE) -> None:
        """Raises ValueError for an unknown source, or a file without x."""
        x, y = SOURCES[source]() if source in SOURCES else _read(source)
        super().__init__(x, y, held_out=held_out, split=split)


def two_moons() -> Pair:
    """Two interleaved half circles of radius 1, with noise: x (4000, 2), labels 0 and 1."""
    rng = keyed_rng("moons")
    angle = math.pi * torch.rand(MOONS, generator=rng)
    labels = torch.arange(MOONS) % 2
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    x = torch.where(labels[:, None] == 0, upper, lower)
    return x + MOONS_NOISE * torch.randn(MOONS, 2, generator=rng), labels


def _read(source: str) -> Pair:
    path = Path(source)
    if not path.is_file() or path.suffix not in (".npy", ".npz"):
        known = ", ".join(SOURCES)
        raise ValueError(f"data must be one of {known}, or a .npy or .npz file; got {source!r}")
    arrays = read_arrays(path)
    if len(arrays) == 1:
        (x,) = arrays.values()
        return x, None
    if "x" not in arrays:
        raise ValueError(f"{source} must have an array x; got {', '.join(arrays)}")
    y: np.ndarray | None = arrays.get("y")
    if y is not None and y.dtype.kind == "f" and y.ndim == 1 and _are_labels(y):
        y = y.astype(np.int64)
    return arrays["x"], y


def _are_labels(y: np.ndarray) -> bool:
    """Check for labels that were saved as floating-point numbers: whole, small and repeated."""
    is_whole = bool(np.isfinite(y).all() and (abs(y) < MAX_LABEL).all() and not (y % 1).any())
    return is_whole and len(np.unique(y)) <= max(2, len(y) // REPEATS)


SOURCES: dict[str, Callable[[], Pair]] = {"moons": two_moons}
