"""Where lines come from: the table of named sources, and the files and folders one may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from multigan.text.datasets.line_files import read_lines, split_lines
from multigan.text.datasets.state_of_the_union import LABELS, read_speeches, sentences, split_of
from multigan.text.datasets.toy_grammar import CLASSES, read_phrases

SPLITS = ("train", "valid", "test")
FOLDER_FILES = ("train.txt", "test.txt")
ANY = "any"  # labels: the first that the source has, or none


class Corpus(NamedTuple):
    """The lines of the three splits; with classes a label, an index into them, for each line."""

    lines: Mapping[str, list[str]]
    labels: Mapping[str, list[int]]
    classes: tuple[str, ...] = ()


@lru_cache(maxsize=2)  # the splits of one source are cut from one reading
def read_corpus(source: str, labels: str = "") -> Corpus:
    """The lines of a key of SOURCES, of a text file, or of a folder with train.txt and test.txt.

    `labels` names what their classes are; "" is none, "any" what there is. Validation lines are
    carved out of the training lines; no line is in two splits, unless a folder's own test.txt
    repeats its train.txt.
    Raises ValueError in one line for what is missing, damaged or unknown.
    """
    if labels == ANY:
        return read_corpus(source, DEFAULT_CLASS_FIELD.get(source, ""))
    if source in SOURCES:
        return SOURCES[source](labels)
    if labels:
        known = ", ".join(SOURCES)
        raise ValueError(f"{source} has no labels {labels!r}; sources with labels: {known}")
    path = Path(source)
    if path.is_dir():
        return _unlabelled(_read_folder(path))
    if path.is_file():
        lines = read_lines(path)
        try:
            return _unlabelled(split_lines(lines))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    known = ", ".join(SOURCES)
    raise ValueError(
        f"no text called {source!r}; known: {known}, a file with one sentence on each line, or a "
        f"folder with {' and '.join(FOLDER_FILES)}"
    )


def read_folder_files(folder: Path) -> tuple[list[str], list[str]]:
    """All lines of a folder's train.txt and test.txt, duplicates included.

    Raises ValueError if one of them is missing.
    """
    for name in FOLDER_FILES:
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no {name}; wanted {' and '.join(FOLDER_FILES)}")
    train, test = (read_lines(folder / name) for name in FOLDER_FILES)
    return train, test


def _read_folder(folder: Path) -> dict[str, list[str]]:
    """Published test lines as they are; validation lines from train.txt, by their hash."""
    train, test = read_folder_files(folder)
    parts = split_lines(train)
    kept = set(parts["train"]) | set(parts["test"])  # what would be held out for testing is trained
    return {
        "train": [line for line in dict.fromkeys(train) if line in kept],
        "valid": parts["valid"],
        "test": test,
    }


def _unlabelled(lines: Mapping[str, list[str]]) -> Corpus:
    return Corpus(lines, {split: [0] * len(found) for split, found in lines.items()})


def _read_speeches(labels: str) -> Corpus:
    if labels and labels not in LABELS:
        raise ValueError(f"speeches have no labels {labels!r}; known: {', '.join(LABELS)}")
    classes, name_of = LABELS[labels] if labels else ((), None)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    found: dict[str, list[int]] = {split: [] for split in SPLITS}
    for sentence in sentences(read_speeches()):
        split = split_of(sentence.speech)
        lines[split].append(sentence.text)
        found[split].append(0 if name_of is None else classes.index(name_of(sentence.speech)))
    return Corpus(lines, found, classes)


def _read_phrases(labels: str) -> Corpus:
    if labels not in ("", "mood"):
        raise ValueError(f"phrases have no labels {labels!r}; known: mood")
    read = read_phrases()
    return Corpus(
        {split: [line for line, _ in found] for split, found in read.items()},
        {split: [label if labels else 0 for _, label in found] for split, found in read.items()},
        CLASSES if labels else (),
    )


DEFAULT_CLASS_FIELD = {"speeches": next(iter(LABELS)), "phrases": "mood"}
SOURCES: dict[str, Callable[[str], Corpus]] = {
    "speeches": _read_speeches,
    "phrases": _read_phrases,
}
