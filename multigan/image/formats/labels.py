"""Class labels of images from folder names, and from arrays or columns of labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

LABEL_COLUMNS = ("label", "labels", "class", "classes")
SPLIT_FOLDERS = ("train", "training", "test", "testing", "val", "valid", "validation")
MAX_EXACT_FLOAT = 2**53  # below it every integer is a floating-point number


def labels_from_folders(source: str, files: Sequence[str]) -> tuple[Tensor | None, tuple[str, ...]]:
    """Derive labels (N,) and class names from the first folder in which the files differ.

    Folders with names of splits, as train and test, are joined, with a warning; the classes are the
    folders below. There are no labels if all files are in one folder; nor, with a warning, if some
    files are outside of the class folders, or a split has a class that the largest one lacks.
    """
    folders = _differing([file.split("/")[:-1] for file in files])
    firsts = [folder[:1] for folder in folders]
    if not any(firsts):
        return None, ()
    if not all(firsts):
        outside = sum(not first for first in firsts)
        return _none(
            f"{source}: {outside} of {len(files)} images are outside of the subfolders, which are "
            "therefore not used as classes"
        )
    parts = sorted({folder[0] for folder in folders})
    if {part.lower() for part in parts} <= set(SPLIT_FOLDERS):
        return _below(source, parts, folders)
    return _named([folder[0] for folder in folders])


def _below(
    source: str, parts: Sequence[str], folders: Sequence[list[str]]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return the classes below the folders of the splits, if these share them."""
    below = [folder[:1] for folder in _differing([folder[1:] for folder in folders])]
    joined = f"{source}: {', '.join(parts)} are splits of one dataset and are joined"
    if all(below):
        pairs = [(folder[0], b[0]) for folder, b in zip(folders, below, strict=True)]
        found = [{name for at, name in pairs if at == part} for part in parts]
        if max(found, key=len) == set().union(*found):
            warnings.warn(joined, stacklevel=4)
            return _named([folder[0] for folder in below])
    return _none(f"{joined}; they share no subfolders that could be classes")


def _differing(folders: Sequence[list[str]]) -> list[list[str]]:
    """Return the folders of every file without the common first ones."""
    ends = zip(min(folders, default=[]), max(folders, default=[]), strict=False)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], ends)))  # by all files
    return [folder[shared:] for folder in folders]


def _none(message: str) -> tuple[None, tuple[str, ...]]:
    warnings.warn(message, stacklevel=4)
    return None, ()


def _named(labels: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    names = sorted(set(labels))
    numbers = {name: number for number, name in enumerate(names)}
    return torch.tensor([numbers[label] for label in labels]), tuple(names)


def integer_labels(array: np.ndarray) -> np.ndarray | None:
    """Return integers (N,) int64 of an array (N,) or (N, 1), or of one-hot rows (N, K).

    Floating-point integers are accepted. None for any other array.
    """
    if array.dtype.kind not in "iufb" or array.ndim not in (1, 2) or not array.size:
        return None
    if array.dtype.kind == "f" and not (abs(array) < MAX_EXACT_FLOAT).all():
        return None
    if array.dtype.kind == "f" and (array % 1).any():
        return None
    if array.ndim == 1 or array.shape[1] == 1:
        return array.reshape(-1).astype(np.int64)
    one_hot = ((array == 0) | (array == 1)).all() and (array.sum(1) == 1).all()
    return array.argmax(1) if one_hot else None


def encode_labels(values: Sequence[Any]) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Encode numbers or strings as labels (N,), with the class names if they are strings.

    None for other values, and for strings that all differ.
    """
    try:
        array = np.asarray(values)
    except ValueError:  # lists of several lengths
        return None
    if array.dtype.kind == "U" and array.ndim == 1:
        names, labels = np.unique(array, return_inverse=True)
        return (labels, tuple(names.tolist())) if len(names) < len(array) else None
    numbers = integer_labels(array)
    return None if numbers is None else (numbers, ())
