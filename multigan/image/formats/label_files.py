"""Labels in files next to images: dataset.json, metadata.csv, labels.csv and their like."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from multigan.image.formats.labels import LABEL_COLUMNS, Labels, encode_labels, quoted
from multigan.image.formats.listing import encoding_of
from multigan.storage.files import parse_json

STYLEGAN = "dataset.json"
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".parquet")
LABEL_NAMES: tuple[str, ...] = (
    *LABEL_COLUMNS,
    "class_name",
    "classname",
    "class_label",
    "label_name",
    "category",
)
LABEL_NAMES += ("target", "species", "breed", "diagnosis", "dx", "y", "class_id", "label_id")
LABEL_NAMES += ("category_id", "classid", "labelid", "tag", "type", "style", "genre")
SIDECARS = (".txt", ".json", ".xml", ".caption", ".csv")  # one for each image
HINTS = (
    "label",
    "annot",
    "class",
    "list",
    "train",
    "val",
    "test",
    "meta",
    "target",
    "info",
    "instances",
)
FILE_NAMES = ("file_name", "filename", "file", "image", "image_id", "img", "path", "id", "name")
LABEL_HINTS = ("label", "annot")  # in the name of a table that can be nothing else
MAX_TABLES = 20  # that are opened
MAX_BYTES = 200_000_000  # of one table
PROBED_ROWS = 200  # that decide which column has the file names
MIN_SHARE = 0.5  # of the images, which a table must label
MAX_DISAGREEING = 0.1  # of the images of a table: those whose rows have different labels
MANY_VALUES = 20  # of a column, of which at most half may differ if they are labels
FULL = 0.99  # share of images that a table must label to replace folders


@dataclass
class LabelTable:
    """The labels in one file: file name -> label, or several for a name."""

    file: str
    column: str  # of the labels
    values: dict[str, Any]  # used file -> label; None if rows disagree
    priority: int  # 0 is dataset.json, 1 metadata.*, 2 any other
    missing: int = 0  # rows that name no used file

    @property
    def labeled(self) -> int:
        """The number of files with a label."""
        return sum(value is not None for value in self.values.values())


@dataclass
class FoundLabels:
    """Labels (N,) of files from tables next to them, the tables, and what was not used."""

    labels: Labels | None = None
    tables: tuple[str, ...] = ()
    note: str = ""


def labels_of_tables(
    files: Sequence[str],
    others: Sequence[str],
    read: Callable[[str], bytes],
    has_folder_classes: bool,
) -> FoundLabels:
    """Find labels of `files`, relative paths of images, in the tables among `others`.

    `read` returns the content of a table. dataset.json and metadata.* replace classes of folders;
    other tables do so only if they label every image.
    """
    tables: list[LabelTable] = []
    unused: list[str] = []
    candidates = _candidates(others)
    index = _Index(files if candidates else ())
    for file in candidates:
        try:
            content = read(file)
        except (OSError, ValueError):
            continue
        found = _table(file, content, index)
        if isinstance(found, LabelTable):
            tables.append(found)
        elif found:
            unused.append(f"{file}: {found}")
    missing = _missing_note(tables)
    note = "; ".join([*unused[:3], *missing])
    if not tables:
        return FoundLabels(note="; ".join(filter(None, [note, _sidecar_note(files, others)])))
    tables.sort(key=lambda table: (table.priority, -table.labeled))
    best = tables[0]
    chosen = [t for t in tables if (t.priority, t.column) == (best.priority, best.column)]
    merged = {file: value for table in reversed(chosen) for file, value in table.values.items()}
    labeled = sum(value is not None for value in merged.values())
    names = tuple(table.file for table in chosen)
    if best.priority == 0 and not labeled:  # it declares that there are no classes
        return FoundLabels(Labels(None), names)
    enough = (
        labeled >= FULL * len(files)
        if has_folder_classes and best.priority == 2
        else labeled >= MIN_SHARE * len(files)
    )
    if not enough:
        part = f"{', '.join(names)} labels {labeled:,} of {len(files):,} images"
        return FoundLabels(note="; ".join(filter(None, [f"{part}: not used", note])))
    try:
        labels = encode_labels([merged.get(file) for file in files])
    except ValueError as error:
        return FoundLabels(note=f"{', '.join(names)}: {error}")
    if labels is None:
        what = f"{', '.join(names)}: the column {quoted(best.column)} has no repeated labels"
        return FoundLabels(note="; ".join(filter(None, [what, note])))
    over = "; folders are not used as classes" if has_folder_classes else ""
    chosen_note = f"the classes are those of {', '.join(names)}{over}"
    return FoundLabels(labels, names, "; ".join([chosen_note, *_missing_note(chosen)]))


def _missing_note(tables: Sequence[LabelTable]) -> list[str]:
    """Describe the rows of tables that name no image."""
    return [
        f"{table.file} has {table.missing:,} rows of files that are no images here"
        for table in tables
        if table.missing
    ]


def _sidecar_note(files: Sequence[str], others: Sequence[str]) -> str:
    """Describe files that are called as images are, such as captions or boxes, by their suffix."""
    stems = {PurePosixPath(file).stem for file in files}
    found = Counter(
        PurePosixPath(file).suffix.lower() for file in others if PurePosixPath(file).stem in stems
    )
    suffix, count = max(found.items(), key=lambda item: item[1], default=("", 0))
    if suffix not in SIDECARS or count < MIN_SHARE * len(files):
        return ""
    return (
        f"{count:,} files of {suffix} are called as images are and may hold labels, which are not "
        "read: write them to labels.csv with the columns file,label"
    )


def _candidates(others: Iterable[str]) -> list[str]:
    """Return the files that may be tables of labels, the most likely first."""
    found = []
    for file in others:
        path = PurePosixPath(file)
        name, suffix = path.name.lower(), path.suffix.lower()
        if suffix not in TABLES or "submission" in name:
            continue
        named = name == STYLEGAN or path.stem.lower() == "metadata"
        hinted = any(hint in name for hint in HINTS)
        if suffix in (".txt", ".json", ".parquet") and not (named or hinted):
            continue
        found.append((not named, not hinted, len(path.parts), file))
    return [file for *_, file in sorted(found)[:MAX_TABLES]]


class _Index:
    """Finds files by path, path without suffix, name and stem, if these are unique.

    Names in another case, and numbers without their first zeros, are found where no other is.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.num_files = len(files)
        self._keys: dict[str, str | None] = {}
        self._alike: dict[str, str | None] = {}
        for file in files:
            name = _normal(file)
            start, dot = 0, name.rfind(".", name.rfind("/") + 2)  # no suffix in ".name"
            while True:
                self._add(name[start:], file)
                if dot > start:
                    self._add(name[start:dot], file)
                slash = name.find("/", start)
                if slash < 0:
                    break
                start = slash + 1

    def _add(self, key: str, file: str) -> None:
        for keys, found in ((self._keys, key), (self._alike, _alike(key))):
            keys[found] = file if keys.get(found, file) == file else None

    def find(self, value: Any, folder: str, exact: bool = False) -> str | None:
        """Return the file that a cell of a table in `folder` names; None if there is no one.

        With `exact` not in another case or with other zeros.
        """
        if not isinstance(value, str | int):
            return None
        name = _normal(str(value)).removeprefix("./").lstrip("/")
        here = f"{folder}/{name}" if folder not in ("", ".") else name
        parts = name.split("/")
        keys = (here, *("/".join(parts[k:]) for k in range(len(parts))))
        same = (found for key in keys if (found := self._keys.get(key)))
        alike = (found for key in keys if (found := self._alike.get(_alike(key))))
        return next(same, None) or (None if exact else next(alike, None))


def _alike(key: str) -> str:
    """Return a path in lower case, a number without its first zeros."""
    return key.lstrip("0") or "0" if key.isdecimal() and key.isascii() else key.casefold()


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/"))


def _table(file: str, content: bytes, index: _Index) -> LabelTable | str | None:
    """Read a table: its labels, the reason why it is not used, or None if it names no image."""
    path = PurePosixPath(file)
    priority = 0 if path.name == STYLEGAN else 1 if path.stem.lower() == "metadata" else 2
    try:
        rows = _rows(path, content, index)
    except (ValueError, csv.Error, RecursionError, ImportError) as error:
        return f"cannot be read: {' '.join(str(error).split())[:80]}" if priority < 2 else None
    folder = str(path.parent)
    if rows is None:  # dataset.json without labels
        return LabelTable(file, "labels", {}, 0)
    column = _file_column(rows, index, folder)
    if column is None:
        is_meant = priority < 2 or any(hint in path.stem.lower() for hint in LABEL_HINTS)
        return "it names none of the images" if is_meant else None
    labels = _label_column(rows, column)
    if labels is None:
        others = [quoted(name) for name in rows[0] if name != column]
        return f"no column of labels among {', '.join(others[:5])}{', ...' if others[5:] else ''}"
    label_column, values = labels
    found: dict[str, Any] = {}
    disagreeing = missing = 0
    for row, value in zip(rows, values, strict=True):
        if used := index.find(row.get(column), folder):
            same = used not in found or found[used] == value
            found[used] = value if same else None
            disagreeing += not same
        else:
            missing += row.get(column) not in (None, "")
    if disagreeing > MAX_DISAGREEING * len(found):
        return f"its rows give {disagreeing:,} images several labels in {quoted(label_column)}"
    return LabelTable(file, label_column, found, priority, missing)


def _rows(path: PurePosixPath, content: bytes, index: _Index) -> list[dict[str, Any]] | None:
    """Read the rows of a table; None for dataset.json without labels."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from pyarrow import parquet

        try:
            return parquet.read_table(io.BytesIO(content)).to_pylist()
        except Exception as error:  # pyarrow raises arbitrary exceptions
            raise ValueError(f"it is damaged: {error}") from error
    text = _text(content)
    if suffix in (".jsonl", ".ndjson"):
        rows = [parse_json(line) for line in text.split("\n") if line.strip()]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("its lines must be objects")
        return rows
    if suffix == ".json":
        return _json_rows(parse_json(text))
    lines = _split_lines(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), suffix)
    if not lines:
        raise ValueError("it is empty")
    width = max(Counter(map(len, lines)).items(), key=lambda item: item[1])[0]
    title = next((row for row in lines[:2] if len(row) == width - 1 > 1), None)  # of CelebA
    table = [row for row in lines if len(row) == width]
    table = table if title is None else [["file", *title], *table]
    names = [f"column {k + 1}" for k in range(width)]
    if not any(index.find(cell, str(path.parent)) for cell in table[0]):
        names = [cell.strip() or name for cell, name in zip(table.pop(0), names, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in table]


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    encoding = encoding_of([content])
    return content.decode({"utf-8": "utf-8-sig", "cp437": "latin-1"}.get(encoding, encoding))


def _split_lines(lines: list[str], suffix: str) -> list[list[str]]:
    """Split lines at the delimiter that divides most of the first ones into the same columns."""
    kept = [line for line in lines if line.strip()]
    if suffix == ".txt":
        return [line.split() for line in kept]
    probe = kept[:20]

    def fit(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(probe, delimiter=delimiter))
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        return (count if width > 1 else 0, width)

    delimiter = max((",", "\t", ";", "|"), key=fit)
    return [row for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter) if row]


def _json_rows(tree: Any) -> list[dict[str, Any]] | None:
    """Return rows of StyleGAN's dataset.json, of a list of objects, or of file -> label."""
    if isinstance(tree, dict) and "labels" in tree and set(tree) <= {"labels", "classes"}:
        if tree["labels"] is None:
            return None
        tree = tree["labels"]
        if isinstance(tree, list) and all(isinstance(row, list) and len(row) == 2 for row in tree):
            return [{"file": file, "label": label} for file, label in tree]
    if isinstance(tree, list) and tree and all(isinstance(row, dict) for row in tree):
        return tree
    if isinstance(tree, dict) and set(tree) >= {"images", "annotations", "categories"}:
        return _coco_rows(tree)
    if isinstance(tree, dict) and all(isinstance(v, str | int | None) for v in tree.values()):
        return [{"file": file, "label": label} for file, label in tree.items()]
    raise ValueError("it has no list of files and labels")


def _coco_rows(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each image and category of annotations as those of COCO."""
    try:
        files = {image["id"]: image["file_name"] for image in tree["images"]}
        names = {category["id"]: category["name"] for category in tree["categories"]}
        pairs = [(item["image_id"], item["category_id"]) for item in tree["annotations"]]
        return [{"file": files[k], "label": names[n]} for k, n in dict.fromkeys(pairs)]
    except (LookupError, TypeError) as error:
        raise ValueError(f"its annotations are damaged: {error}") from error


def _file_column(rows: list[dict[str, Any]], index: _Index, folder: str) -> str | None:
    """Return the column with the most names of images, if it names some."""
    probe = rows[:: max(1, len(rows) // PROBED_ROWS)]
    stated = dict.fromkeys(name for row in probe[:20] for name in row)
    names = [n for n in stated if n.strip().lower() not in LABEL_NAMES]  # 0 may be a file, too

    def count(name: str, exact: bool) -> int:
        return len({index.find(row.get(name), folder, exact) for row in probe} - {None})

    found = {name: count(name, exact=True) for name in names}
    if not any(found.values()):  # alike are many of the images, or none: numbers are often labels
        enough = MIN_SHARE * min(len(probe), index.num_files)
        found = {n: number for n in names if (number := count(n, exact=False)) >= enough}
        names = list(found)
    order = {name: k for k, name in enumerate(FILE_NAMES)}
    best = max(names, key=lambda n: (found[n], -order.get(n.lower(), 99)), default=None)
    return best if best is not None and found[best] > 0 else None


def _label_column(rows: list[dict[str, Any]], files: str) -> tuple[str, list[Any]] | None:
    """Return the column of labels and its values: by its name, the only one, or one-hot columns."""
    others = [name for name in dict.fromkeys(n for row in rows[:20] for n in row) if name != files]
    ranked = {
        name: LABEL_NAMES.index(name.strip().lower())
        for name in others
        if name.strip().lower() in LABEL_NAMES
    }
    chosen = min(ranked, key=lambda name: ranked[name], default=None)
    if chosen is None and len(others) == 1:
        cells = [str(row.get(others[0])) for row in rows]
        chosen = others[0] if len(set(cells)) <= len(cells) / 2 else None
    if chosen is not None:
        values = [_scalar(row.get(chosen)) for row in rows]
        return None if _all_differ(values) else (chosen, values)
    marks = [[str(row.get(name, "")).strip() for name in others] for row in rows]
    one_hot = len(others) > 1 and all(
        set(row) <= {"0", "1", "0.0", "1.0"} and sum(float(c) for c in row) == 1 for row in marks
    )
    if not one_hot:
        return None
    labels = [next(n for n, c in zip(others, row, strict=True) if float(c)) for row in marks]
    return "one-hot columns", labels


def _all_differ(values: list[Any]) -> bool:
    """Return True for values that are names or measurements of images, and no classes."""
    known = [value for value in values if value not in (None, "")]
    distinct = len(set(known))
    many = len(known) >= MANY_VALUES and distinct > len(known) / 2
    return many or (distinct == len(known) > 2)


def _scalar(value: Any) -> Any:
    """Return a label as a hashable value; a one-hot list becomes its index, others None."""
    if isinstance(value, list):
        one_hot = all(item in (0, 1) for item in value) and sum(value) == 1
        return value.index(1) if one_hot else value[0] if len(value) == 1 else None
    return value if isinstance(value, str | int | float | None) else None
