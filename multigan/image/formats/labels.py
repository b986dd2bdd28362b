"""Class labels of images from folder names, and from arrays or columns of labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise, takewhile
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from multigan.core.data_counts import printable

LABEL_COLUMNS = ("label", "labels", "class", "classes")
SPLIT_FOLDERS = ("train", "training", "test", "testing", "val", "valid", "validation")
MAX_EXACT_FLOAT = 2**53  # below it every integer is a floating-point number
MIN_HASH = 8  # hexadecimal digits
NO_LABEL = -1  # in an array of labels
FORBIDDEN = '%/\\<>:"|?*'  # characters that a folder cannot have on every system, and the escape
SHARD_WORDS = "part|parts|shard|chunk|batch|subset|images?|imgs?|folder|dir|data|archive|vol|disk"
SHARD = re.compile(rf"(?:{SHARD_WORDS})[-_. ]?\d+", re.IGNORECASE)


class Labels(NamedTuple):
    """Labels (N,) int64 of items, NO_LABEL where one is missing, and the names of the classes."""

    numbers: np.ndarray | None  # None without classes
    names: tuple[str, ...] = ()
    note: str = ""  # what the user should know


def natural_key(name: str) -> list[tuple[int, int, str, str]]:
    """Return a sort key that compares numbers in names by value: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (0, *_magnitude(part), part) if k % 2 else (1, 0, part, "")
        for k, part in enumerate(parts)
        if part
    ]


def _magnitude(digits: str) -> tuple[int, str]:
    """Return a sort key of numbers by value; int() refuses long ones."""
    significant = digits.lstrip("0")
    return len(significant), significant


def quoted(name: str) -> str:
    """Return a class name for a list in a message: in quotes unless it is one plain word."""
    return name if re.fullmatch(r"[\w.+-]+", name) else f'"{printable(name)}"'


def folder_name(name: str) -> str:
    """Encode a class name as a folder name, injectively; `class_of_folder` is the inverse.

    A character that could leave the folder, hide it, or that some file system refuses, becomes %XX.
    """
    last = len(name) - 1
    encoded = [
        _percent_encode(c)
        if c in FORBIDDEN
        or not c.isprintable()
        or (c == "." and k in (0, last))
        or (c == " " and k in (0, last))
        else c
        for k, c in enumerate(name)
    ]
    return "".join(encoded) or "%"


def _percent_encode(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def class_of_folder(folder: str) -> str:
    """Return the class of a folder: its name in NFC, with the %XX of `folder_name` decoded."""
    name = unicodedata.normalize("NFC", printable(folder))
    if "%" in name:
        try:
            decoded = "" if name == "%" else unquote(name, errors="strict")
        except UnicodeDecodeError:
            return name
        if folder_name(decoded) == name:
            return decoded
    return name


def folder_labels(files: Sequence[str]) -> Labels:
    """Derive labels from the first folder in which the files differ.

    Folders with names of splits, as train and test, are joined, with a note; the classes are the
    folders below. There are no labels if all files are in one folder; nor, with a note, if some
    files are outside of the class folders, a split has a class that the largest one lacks, or the
    folders only divide the files.
    """
    folders = _differing([[class_of_folder(f) for f in file.split("/")[:-1]] for file in files])
    firsts = [folder[:1] for folder in folders]
    if not any(firsts):
        return Labels(None)
    if not all(firsts):
        outside = sum(not first for first in firsts)
        return Labels(
            None,
            note=f"{outside} of {len(files)} images are outside of the subfolders, which are "
            "therefore not used as classes",
        )
    parts = sorted({folder[0] for folder in folders})
    if {part.lower() for part in parts} <= set(SPLIT_FOLDERS):
        return _below(parts, folders, files)
    labels = [folder[0] for folder in folders]
    if _only_divide(labels, files):
        shown = ", ".join(parts[:3]) + (", ..." if len(parts) > 3 else "")
        return Labels(None, note=f"the folders {shown} only divide the files: no classes")
    return named_labels(labels)


def _below(parts: Sequence[str], folders: Sequence[list[str]], files: Sequence[str]) -> Labels:
    """Return the classes below the folders of the splits, if these share them."""
    below = [folder[:1] for folder in _differing([folder[1:] for folder in folders])]
    joined = f"{', '.join(parts)} are splits of one dataset and are joined"
    if all(below):
        pairs = [(folder[0], b[0]) for folder, b in zip(folders, below, strict=True)]
        found = [{name for at, name in pairs if at == part} for part in parts]
        labels = [folder[0] for folder in below]
        if _only_divide(labels, files):
            return Labels(None, note=f"{joined}; the folders below only divide the files")
        if max(found, key=len) == set().union(*found):
            return named_labels(labels)._replace(note=joined)
    return Labels(None, note=f"{joined}; they share no subfolders that could be classes")


def _differing(folders: Sequence[list[str]]) -> list[list[str]]:
    """Return the folders of every file without the common first ones."""
    ends = zip(min(folders, default=[]), max(folders, default=[]), strict=False)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], ends)))  # by all files
    return [folder[shared:] for folder in folders]


def _only_divide(labels: Sequence[str], files: Sequence[str]) -> bool:
    """Return True for folders that divide a long list of files, and are no classes.

    They are called as SHARD_WORDS with a number; or have zero-padded numbers of three digits or
    more and continue the numbers of the files; or repeat the first or last digits of each file.
    """
    parts = sorted(set(labels))
    if len(parts) < 2 or len(set(map(len, parts))) > 1:
        return all(SHARD.fullmatch(part) for part in parts) and len(parts) > 1
    if all(SHARD.fullmatch(part) for part in parts):
        return True
    stems = [PurePosixPath(file).stem.lower() for file in files]
    if not all(re.fullmatch("[0-9a-f]{2,}", part.lower()) for part in parts):
        return False
    pairs = list(zip(labels, stems, strict=True))
    hashed = all(_holds_digits(part.lower(), stem) for part, stem in pairs)
    return hashed or (len(parts[0]) >= 3 and _continue_numbers(pairs))


def _holds_digits(part: str, stem: str) -> bool:
    """Return True for a file whose long hash begins with `part`, or whose number ends with it."""
    if re.fullmatch(f"[0-9a-f]{{{MIN_HASH},}}", stem) and stem.startswith(part):
        return True
    return part.isdecimal() and stem.isdecimal() and len(stem) > len(part) and stem.endswith(part)


def _continue_numbers(pairs: Sequence[tuple[str, str]]) -> bool:
    """Return True if the last numbers of the files rise from folder to folder without overlap."""
    ends: dict[str, list[tuple[int, str]]] = {}
    for part, stem in pairs:
        numbers = re.findall(r"[0-9]+", stem)
        if not numbers:
            return False
        ends.setdefault(part, []).append(_magnitude(numbers[-1]))
    if not all(part.isdecimal() for part in ends):
        return False
    ordered = [ends[part] for part in sorted(ends)]
    return all(max(a) < min(b) for a, b in pairwise(ordered))


def named_labels(labels: Sequence[str | None]) -> Labels:
    """Number names in natural order; None is no label."""
    names = sorted({label for label in labels if label is not None}, key=natural_key)
    numbers = {name: number for number, name in enumerate(names)} | {None: NO_LABEL}
    return Labels(np.array([numbers[label] for label in labels], np.int64), tuple(names))


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


def number_labels(numbers: np.ndarray, names: Sequence[str] = ()) -> Labels:
    """Number integers (N,) from 0 without gaps; -1 is no label, unless the values are -1 and 1.

    `names` are the names of 0, 1, ...; without them each is named by itself. Raises ValueError for
    a label beyond the names.
    """
    values = np.unique(numbers)
    missing = NO_LABEL in values and not (not names and values.tolist() == [-1, 1])
    present = values[values != NO_LABEL] if missing else values
    if names and len(present) and (present[0] < 0 or present[-1] >= len(names)):
        raise ValueError(
            f"labels must be in 0 to {len(names) - 1}, the class names; "
            f"got {int(present[0])} to {int(present[-1])}"
        )
    encoded = np.searchsorted(present, numbers).astype(np.int64)
    if missing:
        encoded[numbers == NO_LABEL] = NO_LABEL
    class_names = [str(names[value]) if names else str(value) for value in present.tolist()]
    return Labels(encoded, tuple(class_names))


def encode_labels(values: Sequence[Any], names: Sequence[str] = ()) -> Labels | None:
    """Encode numbers or strings as labels; None, NaN, "" and -1 are no labels.

    `names` are the names of the numbers. None is returned for other values, for strings that all
    differ, and if no value is a label.
    """
    known = [value for value in values if not _is_missing(value)]
    if not known:
        return None
    try:
        array = np.asarray(known)
    except ValueError:  # lists of several lengths
        return None
    if array.dtype.kind == "U" and array.ndim == 1:
        texts = [unicodedata.normalize("NFC", str(value)).strip() for value in known]
        if not all(re.fullmatch(r"(?:-?[1-9][0-9]{0,14}|0)(?:\.0)?", text) for text in texts):
            if len(set(texts)) == len(texts):
                return None
            found = iter(texts)
            return named_labels([None if _is_missing(v) else next(found) for v in values])
        array = np.array([int(float(text)) for text in texts])
    numbers = integer_labels(array)
    if numbers is None:
        return None
    encoded = number_labels(numbers, names)  # of the known values alone: -1 may be a class
    spread = np.full(len(values), NO_LABEL, np.int64)
    places = [k for k, value in enumerate(values) if not _is_missing(value)]
    spread[places] = np.asarray(encoded.numbers)
    return Labels(spread, encoded.names)


def _is_missing(value: Any) -> bool:
    """Return True for None, NaN, blank strings and what SQL and R write; "none" is a class."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "null", "n/a", "na")
    return value is None or (isinstance(value, float) and value != value)
