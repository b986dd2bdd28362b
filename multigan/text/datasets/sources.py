"""Text sources: the table of named ones, files with a line a sentence, folders, a toy grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from multigan.core.rng import keyed_rng
from multigan.text.datasets.line_files import read_lines, split_lines
from multigan.text.datasets.state_of_the_union import (
    CLASS_FIELDS,
    extract_sentences,
    read_speeches,
    split_of,
)

SPLITS = ("train", "valid", "test")
FOLDER_FILES = ("train.txt", "test.txt")
ANY = "any"  # class_field: the default one of the source, or none


class Corpus(NamedTuple):
    """The lines of the three splits; a label, an index into `class_names`, for each line."""

    lines: Mapping[str, list[str]]
    labels: Mapping[str, list[int]]
    class_names: tuple[str, ...] = ()


def read_corpus(source: str, class_field: str = "") -> Corpus:
    """Read a key of SOURCES, a text file, or a folder with train.txt and test.txt.

    `class_field` names the classes; "" is none, "any" those that the source has. Validation lines
    are taken from the training lines. No line is in two splits, unless a folder's own test.txt
    repeats its train.txt.
    Raises ValueError in one line for what is missing, damaged or unknown.
    """
    if class_field == ANY:
        class_field = DEFAULT_CLASS_FIELD.get(source, "")
    if source in SOURCES:
        return SOURCES[source](class_field)
    known = ", ".join(SOURCES)
    if class_field:
        raise ValueError(f"class_field must be empty unless data is {known}; got {class_field!r}")
    path = Path(source)
    if path.is_dir():
        return _without_classes(_read_folder(path))
    if path.is_file():
        lines = read_lines(path)
        try:
            return _without_classes(split_lines(lines))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    raise ValueError(
        f"data must be {known}, a file with a sentence on each line, or a folder with "
        f"{' and '.join(FOLDER_FILES)}; got {source!r}"
    )


def read_folder_files(folder: Path) -> tuple[list[str], list[str]]:
    """Read all lines of a folder's train.txt and test.txt, duplicates included.

    Raises ValueError if one of them is missing.
    """
    for name in FOLDER_FILES:
        if not (folder / name).is_file():
            raise ValueError(f"{folder} must have {' and '.join(FOLDER_FILES)}; it has no {name}")
    train, test = (read_lines(folder / name) for name in FOLDER_FILES)
    return train, test


def _read_folder(folder: Path) -> dict[str, list[str]]:
    """Published test lines as they are; validation lines from train.txt, by their hash."""
    train, test = read_folder_files(folder)
    splits = split_lines(train)
    kept = set(splits["train"]) | set(splits["test"])  # train.txt need not hold out a test split
    return {
        "train": [line for line in dict.fromkeys(train) if line in kept],
        "valid": splits["valid"],
        "test": test,
    }


def _without_classes(lines: Mapping[str, list[str]]) -> Corpus:
    return Corpus(lines, {split: [0] * len(texts) for split, texts in lines.items()})


def _read_speeches(class_field: str) -> Corpus:
    if class_field and class_field not in CLASS_FIELDS:
        known = ", ".join(CLASS_FIELDS)
        raise ValueError(f"class_field must be {known} or empty for speeches; got {class_field!r}")
    class_names, name_of = CLASS_FIELDS[class_field] if class_field else ((), None)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    labels: dict[str, list[int]] = {split: [] for split in SPLITS}
    for sentence in extract_sentences(read_speeches()):
        split = split_of(sentence.speech)
        lines[split].append(sentence.text)
        label = 0 if name_of is None else class_names.index(name_of(sentence.speech))
        labels[split].append(label)
    return Corpus(lines, labels, class_names)


def _read_phrases(class_field: str) -> Corpus:
    if class_field not in ("", "mood"):
        raise ValueError(f"class_field must be mood or empty for phrases; got {class_field!r}")
    phrases = generate_phrases()
    labels = {
        split: [label if class_field else 0 for _, label in pairs]
        for split, pairs in phrases.items()
    }
    lines = {split: [line for line, _ in pairs] for split, pairs in phrases.items()}
    return Corpus(lines, labels, MOODS if class_field else ())


DEFAULT_CLASS_FIELD = {"speeches": next(iter(CLASS_FIELDS)), "phrases": "mood"}
SOURCES: dict[str, Callable[[str], Corpus]] = {
    "speeches": _read_speeches,
    "phrases": _read_phrases,
}

NUM_PHRASES = {"train": 400, "valid": 100, "test": 100}  # different lines in each split
MOODS = ("statement", "question")

# Expansions of the symbols; words that are no symbols are final.
GRAMMAR = {
    "statement": ("NOUN VERB NOUN .", "NOUN VERB NOUN PLACE .", "PLACE NOUN VERB NOUN ."),
    "question": ("does NOUN DO NOUN ?", "when did NOUN DO NOUN PLACE ?", "who VERB NOUN ?"),
    "NOUN": ("the THING", "the ADJECTIVE THING", "a THING", "an old THING"),
    "PLACE": ("near the river", "in the garden", "at night", "by the ADJECTIVE THING"),
    "ADJECTIVE": ("red", "small", "quiet", "young", "green"),
    "THING": ("dog", "boat", "gardener", "letter", "house", "painter", "horse", "lamp"),
    "VERB": ("sees", "finds", "paints", "carries", "forgets"),
    "DO": ("see", "find", "paint", "carry", "forget"),
}


def generate_phrases() -> dict[str, list[tuple[str, int]]]:
    """Generate different lines and their moods, indices into MOODS, in three splits."""
    rng = keyed_rng(0, "phrases")
    labels: dict[str, int] = {}
    while len(labels) < sum(NUM_PHRASES.values()):
        label = len(labels) % len(MOODS)
        line = " ".join(_expand(MOODS[label], rng))
        labels[line.replace(" .", ".").replace(" ?", "?")] = label
    lines = iter(labels.items())
    return {split: [next(lines) for _ in range(count)] for split, count in NUM_PHRASES.items()}


def _expand(symbol: str, rng: torch.Generator) -> list[str]:
    """The words of a random expansion of a symbol."""
    if symbol not in GRAMMAR:
        return [symbol]
    options = GRAMMAR[symbol]
    chosen = options[int(torch.randint(len(options), (), generator=rng))]
    return [word for part in chosen.split() for word in _expand(part, rng)]
