"""Text sources: the table of named ones, files with a line a sentence, folders, a toy grammar."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch

from multigan.core.data_counts import IGNORED, LEFT_OUT, MAX_EXAMPLES, DataCounts
from multigan.core.rng import keyed_rng
from multigan.storage.folders import Ignored, files_below
from multigan.text.datasets.line_files import read_lines, split_lines
from multigan.text.datasets.state_of_the_union import (
    CLASS_FIELDS,
    MAX_LONG_WORDS,
    MAX_WORDS,
    extract_sentences,
    read_speeches,
    split_of,
)
from multigan.text.formats.encodings import broken_text_note
from multigan.text.formats.tables import READERS, has_column, is_table, read_cells, table_note

SPLITS = ("train", "valid", "test")
SPLIT_STEMS = {"train": ("train", "training"), "valid": ("valid", "validation", "val", "dev"),
               "test": ("test", "testing")}  # fmt: skip
SHARD = r"([-_.]\d+([-_]of[-_]\d+)?)"  # of a split: train-00000-of-00002
TEXT_SUFFIXES = (".txt", ".text", ".md")
FOLDER = "folder"  # label_column: the folder of a text
ANY = "any"  # class_field: the default one of the source, or none
MIN_REPEATED_SHARE = 0.01  # of the held-out texts, which may be training texts without a warning
MAX_CLASSES = 1000  # of a label column
MAX_CLASS_CHARACTERS = 255
EXAMPLE_CHARACTERS = 40  # of a text that is shown


class ReadOptions(NamedTuple):
    """The options of files: columns of a table, and the unit of plain text."""

    text_column: str = ""
    label_column: str = ""
    unit: str = "line"


class Corpus(NamedTuple):
    """The lines of the three splits; a label, an index into `class_names`, for each line."""

    lines: Mapping[str, list[str]]
    labels: Mapping[str, list[int]]
    class_names: tuple[str, ...] = ()
    counts: DataCounts | None = None  # of files: what was left out or changed while reading


class Texts(NamedTuple):
    """Texts, and the name of the label of each; empty names without labels."""

    texts: list[str]
    labels: list[str]


def read_corpus(
    source: str,
    class_field: str = "",
    options: ReadOptions = ReadOptions(),  # noqa: B008
) -> Corpus:
    """Read a key of SOURCES, a text file, a table, or a folder of them.

    A folder may have files or folders called train, valid (or dev, val, validation) and test; the
    files of other folders are read as one. `class_field` names the classes of a named source; "" is
    none, "any" those that it has. Held-out lines that no file holds are taken from the training
    lines. No line is in two splits, unless files of different splits repeat it.
    Raises ValueError in one line for what is missing, damaged or unknown.
    """
    if class_field == ANY:
        class_field = DEFAULT_CLASS_FIELD.get(source, "")
    if source in SOURCES:
        for name, value, default in zip(options._fields, options, ReadOptions(), strict=True):
            if value != default:
                raise ValueError(f"{name} is of files; got {value!r} for {source}")
        return SOURCES[source](class_field)
    known = ", ".join(SOURCES)
    if class_field:
        raise ValueError(
            f"class_field must be empty unless data is {known}; got {class_field!r}: "
            "classes of a table are named by label_column"
        )
    path, counts = Path(source), DataCounts("texts")
    if not source or not path.exists():  # an empty path would be the current folder
        raise ValueError(
            f"data must be {known}, a text file, a table (CSV, TSV, JSON, JSONL, Parquet) or a "
            f"folder of them; got {source!r}"
        )
    files = split_files(path) if path.is_dir() else {}
    folders = split_folders(path) if path.is_dir() and not files else {}
    if "train" in files:
        _check_folder_labels(path, files, options)
        found = {name: _joined(parts, options, counts) for name, parts in files.items()}
        _count_others(path, files, counts)
    elif "train" in folders:
        found = {name: _read_folder(part, options, counts) for name, part in folders.items()}
    elif path.is_dir():
        found = {"train": _read_folder(path, options, counts)}
    else:
        found = {"train": read_texts(path, options, counts)}
    if note := broken_text_note(found["train"].texts):
        warnings.warn(f"{source}: {note}", stacklevel=2)
    try:
        corpus = _with_classes(_complete(found, counts), options, counts)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if note := _repeats_note(corpus):
        warnings.warn(f"{source}: {note}", stacklevel=2)
    return corpus


def _check_folder_labels(path: Path, files: Mapping[str, list[Path]], options: ReadOptions) -> None:
    """Raise ValueError for labels of folders where files of splits hold the texts."""
    if options.label_column != FOLDER:
        return
    for file in (file for parts in files.values() for file in parts):
        if not has_column(file, FOLDER):
            raise ValueError(
                f"label_column {FOLDER} must have texts in a folder for each class; got "
                f"{file.name} in {path}, a file of a split: leave label_column out"
            )


def _repeats_note(corpus: Corpus) -> str:
    """The warning for held-out texts of a file that are training texts, too; "" for few."""
    train = set(corpus.lines["train"])
    held_out = [text for split in ("valid", "test") for text in corpus.lines[split]]
    repeated = sum(text in train for text in held_out)
    if not repeated or repeated < MIN_REPEATED_SHARE * len(held_out):
        return ""
    return (
        f"{repeated:,} of {len(held_out):,} held-out texts are training texts too: an evaluation "
        "cannot tell copies from new texts"
    )


def read_texts(file: Path, options: ReadOptions, counts: DataCounts) -> Texts:
    """Read a text file or a table. Raises ValueError in one line for anything else."""
    named = options.text_column or options.label_column
    if file.is_file() and is_table(file, named):
        if options.unit != "line":
            raise ValueError(f"unit must be line for a table, one text a row; got {options.unit!r}")
        return Texts(*read_cells(file, options.text_column, options.label_column, counts))
    texts = read_lines(file, options.unit, counts)
    if note := table_note(file):
        warnings.warn(note, stacklevel=3)
    return Texts(texts, [""] * len(texts))


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder, or of its folder `data`, by split; a split may have several shards.

    Shards are called train-00000-of-00002, train_1, ... Raises ValueError for other files of one
    split.
    """
    found: dict[str, list[Path]] = {}
    for file in sorted(path for path in folder.iterdir() if _is_readable(path)):
        for split, stems in SPLIT_STEMS.items():
            name = re.fullmatch(rf"({'|'.join(stems)}){SHARD}?", file.stem.lower())
            if name is None:
                continue
            if split in found and name[2] is None:
                raise ValueError(
                    f"{folder} must have one file of {split} lines; got {found[split][0].name} "
                    f"and {file.name}"
                )
            found.setdefault(split, []).append(file)
    inner = folder / "data"
    return found if found or not inner.is_dir() else split_files(inner)


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders of the splits in a folder, such as train and test, each with files."""
    found: dict[str, Path] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        for split, stems in SPLIT_STEMS.items():
            if inner.name.lower() in stems:
                found.setdefault(split, inner)
    return found


def _count_others(folder: Path, files: Mapping[str, list[Path]], counts: DataCounts) -> None:
    """Count the files next to those of the splits."""
    used = {file for parts in files.values() for file in parts}
    ignored: Ignored = {}
    for name in files_below(folder, ignored):
        if folder / name not in used:
            ignored.setdefault("other files", []).append(name)
    _add_ignored(ignored, counts)


def _add_ignored(ignored: Ignored, counts: DataCounts) -> None:
    for reason, names in ignored.items():
        counts.add(IGNORED, reason, names, len(names))


def _joined(files: list[Path], options: ReadOptions, counts: DataCounts) -> Texts:
    """The texts of all shards of a split."""
    parts = [read_texts(file, options, counts) for file in files]
    return Texts([t for part in parts for t in part.texts], [k for p in parts for k in p.labels])


def read_folder_files(folder: Path) -> tuple[list[str], list[str]]:
    """Read all lines of a folder's files of training and test lines, duplicates included.

    Raises ValueError if one of them is missing.
    """
    files, counts = split_files(folder), DataCounts("texts")
    for name in ("train", "test"):
        if name not in files:
            raise ValueError(f"{folder} must have a file of training and one of test lines, as "
                             f"train.txt and test.txt; it has no {name}.txt")  # fmt: skip
    train, test = (_joined(files[name], ReadOptions(), counts) for name in ("train", "test"))
    return train.texts, test.texts


def _is_readable(file: Path) -> bool:
    """Check if the name of a file is that of a text file or of a table."""
    suffix = file.suffix.lower()
    return file.is_file() and file.name[0] != "." and suffix in (*TEXT_SUFFIXES, *READERS)


def _read_folder(folder: Path, options: ReadOptions, counts: DataCounts) -> Texts:
    """The texts of all files below a folder; files that cannot be read are counted.

    With the label column FOLDER the label of a text is the folder of its file.
    """
    texts, labels, last = [], [], None
    ignored: Ignored = {}
    classes = set()
    by_folder = options.label_column == FOLDER
    for name in files_below(folder, ignored):
        file = folder / name
        if not _is_readable(file):
            ignored.setdefault("other files", []).append(name)
            continue
        if by_folder and file.suffix.lower() in READERS and has_column(file, FOLDER):
            raise ValueError(
                f"label_column must name a column or the folders; got {FOLDER}, which is a column "
                f"of {file}, too: rename it"
            )
        try:
            found = read_texts(
                file, options._replace(label_column="") if by_folder else options, counts
            )
        except ValueError as error:
            last = error
            counts.add(LEFT_OUT, f"files that are not readable: {_reason(error, file)}", [name])
            continue
        if file.parent != folder:
            classes.add(file.parent.name)
        texts += found.texts
        labels += [file.parent.name] * len(found.texts) if by_folder else found.labels
    _add_ignored(ignored, counts)
    if len(classes) > 1 and not options.label_column:
        offered = f"folders that --label-column {FOLDER} makes classes"
        counts.add(IGNORED, offered, sorted(classes), len(classes))
    if not texts:
        suffixes = ", ".join((*TEXT_SUFFIXES, *READERS))
        raise last or ValueError(f"{folder} must hold files with text ({suffixes}); got none")
    return Texts(texts, labels)


def _reason(error: ValueError, file: Path) -> str:
    """The first part of an error of a file, without its path, a line and what was found there."""
    text = re.sub(r"^,? (line \d+)?:? ?|^: ", "", str(error).removeprefix(str(file)))
    return re.split(r"[;:(]| by its", text)[0].strip()


def _split(whole: Texts, counts: DataCounts) -> dict[str, Texts]:
    """Split the different texts in three, each with the label of its first occurrence."""
    label_of: dict[str, str] = {}
    for text, label in zip(*whole, strict=True):
        label_of.setdefault(text, label)
    parts = split_lines(whole.texts)
    if repeats := len(whole.texts) - len(label_of):
        often = (text for text, count in Counter(whole.texts).items() if count > 1)
        shown = [repr(text[:EXAMPLE_CHARACTERS]) for text in islice(often, MAX_EXAMPLES)]
        counts.add(LEFT_OUT, "repeats of another", shown, repeats)
    return {name: Texts(texts, [label_of[t] for t in texts]) for name, texts in parts.items()}


def _complete(parts: Mapping[str, Texts], counts: DataCounts) -> dict[str, Texts]:
    """Published held-out texts as they are; others from those of training, by their hash."""
    if set(SPLITS) <= parts.keys():
        carved: dict[str, Texts] = {}
    else:
        carved = _split(parts["train"], counts)
    if parts.keys() == {"train"}:
        return carved
    found = {name: parts[name] if name in parts else carved[name] for name in SPLITS}
    needed = {text for name in SPLITS if name not in parts for text in carved[name].texts}
    label_of = dict(zip(*parts["train"], strict=True))
    texts = [text for text in dict.fromkeys(parts["train"].texts) if text not in needed]
    return found | {"train": Texts(texts, [label_of[text] for text in texts])}


def _with_classes(parts: Mapping[str, Texts], options: ReadOptions, counts: DataCounts) -> Corpus:
    """The corpus of the parts, with the classes of the training lines in alphabetical order."""
    if not options.label_column:
        lines = {name: part.texts for name, part in parts.items()}
        labels = {name: [0] * len(texts) for name, texts in lines.items()}
        return Corpus(lines, labels, (), counts)
    names = tuple(sorted(set(parts["train"].labels)))
    too_long = [name for name in names if len(name) > MAX_CLASS_CHARACTERS]
    if not 2 <= len(names) <= MAX_CLASSES or too_long:
        raise ValueError(
            f"label_column must have 2 to {MAX_CLASSES} different labels of at most "
            f"{MAX_CLASS_CHARACTERS} characters; got {len(names)} in {options.label_column!r}"
        )
    index = {name: k for k, name in enumerate(names)}
    lines, labels = {}, {}
    for split, part in parts.items():
        kept = [(t, index[label]) for t, label in zip(*part, strict=True) if label in index]
        if unknown := len(part.texts) - len(kept):
            shown = sorted({repr(label) for label in part.labels if label not in index})
            reason = f"{split} texts with a label of no training text"
            counts.add(LEFT_OUT, reason, shown[:MAX_EXAMPLES], unknown)
        lines[split], labels[split] = [text for text, _ in kept], [label for _, label in kept]
    return Corpus(lines, labels, names, counts)


def _read_speeches(class_field: str, max_words: int = MAX_WORDS) -> Corpus:
    if class_field and class_field not in CLASS_FIELDS:
        known = ", ".join(CLASS_FIELDS)
        raise ValueError(f"class_field must be {known} or empty for speeches; got {class_field!r}")
    class_names, name_of = CLASS_FIELDS[class_field] if class_field else ((), None)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    labels: dict[str, list[int]] = {split: [] for split in SPLITS}
    for sentence in extract_sentences(read_speeches(), max_words):
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


DEFAULT_CLASS_FIELD = {
    "speeches": next(iter(CLASS_FIELDS)),
    "long_speeches": next(iter(CLASS_FIELDS)),
    "phrases": "mood",
}
SOURCES: dict[str, Callable[[str], Corpus]] = {
    "speeches": _read_speeches,
    "long_speeches": partial(_read_speeches, max_words=MAX_LONG_WORDS),
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
