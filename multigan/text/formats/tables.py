"""Tables with a column of texts: CSV, TSV, JSON, JSON lines and Parquet."""

from __future__ import annotations

import csv
import importlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from multigan.core.data_counts import CHANGED, IGNORED, LEFT_OUT, DataCounts
from multigan.storage.files import parse_json
from multigan.text.formats.csv_tables import (
    NUM_SAMPLE_ROWS,
    TEXT_NAMES,
    csv_rows,
    find_format,
    read_csv,
)
from multigan.text.formats.encodings import check_plain, encoding_error
from multigan.text.formats.table_rows import MORE, REPEATED, Row, Table

LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "emotion", "genre")
MIN_MEAN_WORDS = 2.0  # of the column that is taken for the texts without such a name
MAX_ROWS = 1_000_000
MAX_TEXT_CHARACTERS = 64 * 1024


MAX_PROBED_BYTES = 1 << 20  # of a line that tells JSON lines from text
MAX_JSON_BYTES = 64 << 20  # of a file without the suffix of JSON that is tried as JSON
MIN_MAP = 20  # texts of an object that are samples, and no columns of one row
MIN_TABLE_ROWS = 5  # that tell a table from text with a delimiter
MAX_DEPTH = 3  # of objects inside the object of a row


def is_table(file: Path, text_column: str = "") -> bool:
    """Check if a file is a table: by its suffix, JSON by content, or if a column is named."""
    if file.suffix.lower() in READERS:
        return True
    return bool(text_column) or _holds_json_lines(file) or _holds_json(file)


def table_note(file: Path) -> str:
    """The warning for a text file that looks like a table; "" for other files."""
    try:
        form = find_format(file)
        rows = list(islice(csv_rows(file, form), NUM_SAMPLE_ROWS))
    except (ValueError, OSError, csv.Error):
        return ""
    widths = {len(cells) for cells in rows}
    if len(rows) < MIN_TABLE_ROWS or len(widths) > 1 or widths == {1}:
        return ""
    named = {cell.strip().lower() for cell in rows[0]} & {*TEXT_NAMES, "id", "label"}
    if not named and form.delimiter != "\t":  # lines with a comma each are text
        return ""
    columns = rows[0] if named else map(str, range(1, len(rows[0]) + 1))
    return (
        f"{file}: every line has {widths.pop()} cells, which are read as one text; if it is a "
        f"table, name its column with --text-column: {', '.join(columns)}"
    )


def read_table(file: Path) -> Table:
    """Open a table. Raises ValueError, in one line, for a file that is damaged or has no rows."""
    suffix = file.suffix.lower()
    reader = READERS.get(suffix)
    if reader is None:
        by_content = {_read_json_lines: _holds_json_lines, _read_json: _holds_json}
        reader = next((read for read, holds in by_content.items() if holds(file)), read_csv)
    if reader is not _read_parquet:
        check_plain(file)
    try:
        return reader(file)
    except UnicodeDecodeError:
        raise encoding_error(file) from None
    except OSError as error:
        raise ValueError(f"{file} must be a readable table: {error.strerror}") from error
    except csv.Error as error:
        raise ValueError(f"{file} must be a table; got: {error}") from error


def find_text_column(file: Path, table: Table, sample: Sequence[Row], stated: str) -> str:
    """The column of the texts: the stated one, one of TEXT_NAMES, or the only one with words.

    Raises ValueError, naming the columns, if there is none or more than one.
    """
    if stated:
        return require_column("text_column", file, table, stated)
    if not sample:
        raise ValueError(f"{file} must be a table with rows; it has only names of columns")
    by_name = {_last_name(column): column for column in reversed(table.columns)}
    named = [by_name[name] for name in TEXT_NAMES if name in by_name]
    found = [column for column in named if _mean_words(sample, column) > 0][:1]
    found = found or [c for c in table.columns if _mean_words(sample, c) >= MIN_MEAN_WORDS]
    if len(found) == 1:
        return found[0]
    if found:
        columns = ", ".join(table.columns[:12]) + (", ..." if len(table.columns) > 12 else "")
        raise ValueError(
            f"{file}: several columns hold words; name one with --text-column: {columns}"
        )
    kinds = [f"{column} ({_kind(sample, column)})" for column in table.columns[:12]]
    raise ValueError(f"{file}: no column holds words; it must have one; got {', '.join(kinds)}")


def _last_name(column: str) -> str:
    """The name of a column in lower case, without those of the objects around it."""
    return column.strip().lower().rpartition(".")[2]


def _kind(rows: Sequence[Row], column: str) -> str:
    """The kind of most values of a column."""
    found = Counter(_kind_of(row.get(column)) for row in rows)
    return found.most_common(1)[0][0]


def _kind_of(value: Any) -> str:
    return next((kind for type_, kind in VALUE_KINDS if isinstance(value, type_)), "other values")


def read_cells(
    file: Path, text_column: str, label_column: str, counts: DataCounts
) -> tuple[list[str], list[str]]:
    """Read the texts of a table, and the label of each; without a label column they are empty.

    Rows without a text or a label are left out, and line breaks become spaces: both are counted.
    Rows after the first MAX_ROWS are left out with a warning. Raises ValueError, in one line, for
    a damaged table, one without such columns, and one without a text.
    """
    table = read_table(file)
    rows = iter(table.rows)
    try:
        sample = list(islice(rows, NUM_SAMPLE_ROWS))
        column = find_text_column(file, table, sample, text_column)
        if table.before:
            counts.add(IGNORED, "lines before the names of columns", [file.name], table.before)
        if label_column:
            label_column = require_column("label_column", file, table, label_column)
        elif labels := [name for name in table.columns if _last_name(name) in LABEL_NAMES]:
            counts.add(IGNORED, "columns that --label-column makes classes", labels, len(labels))
        texts: list[str] = []
        found: list[str] = []
        for number, row in enumerate(chain(sample, rows), 1):
            if number > MAX_ROWS:
                warnings.warn(f"{file}: only its first {MAX_ROWS:,} rows", stacklevel=3)
                break
            place = f"{file.name}, row {number}"
            if row.get(REPEATED):
                counts.add(LEFT_OUT, "repeats of the names of columns", [place])
                continue
            if row.get(MORE) and column != table.columns[-1]:  # which cells are parts is unknown
                counts.add(LEFT_OUT, "with more cells than columns", [place])
                continue
            if row.get(MORE):
                counts.add(CHANGED, "cells beyond the columns joined to the text", [place])
            text = _cell(row.get(MORE) or row.get(column), place, column, counts)
            label = _label(row.get(label_column)) if label_column else ""
            if text and label is None:
                counts.add(LEFT_OUT, f"without a {label_column}", [place])
            elif text:
                texts.append(text)
                found.append(label or "")
    except UnicodeDecodeError:
        raise encoding_error(file) from None
    except csv.Error as error:
        raise ValueError(f"{file} must be a table; got: {error}") from error
    if not texts:
        raise ValueError(f"{file}: the column {column!r} must hold texts; got none")
    return texts, found


def _cell(value: Any, place: str, column: str, counts: DataCounts) -> str:
    """The text of a cell on one line; empty where there is none."""
    if not isinstance(value, str) or not value.strip():
        is_empty = value is None or isinstance(value, str)
        reason = f"without a {column}" if is_empty else f"{column} is no text"
        counts.add(LEFT_OUT, reason, [place])
        return ""
    text = " ".join(value.strip().splitlines())
    if text != value.strip():
        counts.add(CHANGED, "line breaks became spaces", [place])
    if len(text) > MAX_TEXT_CHARACTERS:
        counts.add(LEFT_OUT, f"longer than {MAX_TEXT_CHARACTERS:,} characters", [place])
        return ""
    intact = text.encode(errors="replace").decode()  # JSON may escape half of a character
    if intact != text:
        counts.add(CHANGED, "broken characters replaced", [place])
    return intact


def _label(value: Any) -> str | None:
    """The label of a cell; None for a missing one."""
    if value is None or isinstance(value, dict | list | bytes) or value != value:
        return None
    text = " ".join(str(value).split())
    return text or None


def has_column(file: Path, name: str) -> bool:
    """Check if a file is read as a table with a column of this name, in any case."""
    try:
        columns = read_table(file).columns
    except ValueError:
        return False
    return any(column.strip().casefold() == name for column in columns)


def require_column(option: str, file: Path, table: Table, name: str) -> str:
    """Return a column, in the case that it has. Raises ValueError, naming the columns, for none."""
    if name not in table.columns:
        alike = [c for c in table.columns if c.strip().casefold() == name.strip().casefold()]
        if len(alike) == 1:
            return alike[0]
        columns = ", ".join(table.columns[:12]) + (", ..." if len(table.columns) > 12 else "")
        raise ValueError(f"{option} must be a column of {file}: {columns}; got {name!r}")
    return name


def _mean_words(rows: Sequence[Row], column: str) -> float:
    """Words in a cell with letters, over all rows; 0 for a column with other values."""
    cells = [row.get(column) for row in rows]
    texts = [cell for cell in cells if isinstance(cell, str) and any(map(str.isalpha, cell))]
    if len(texts) < len(cells) / 2:
        return 0.0
    return sum(len(text.split()) for text in texts) / max(1, len(cells))


def _read_json_lines(file: Path) -> Table:
    """An object or a text on each line; a file that is one list is read as JSON."""
    if _holds_json(file):
        return _read_json(file)

    def rows() -> Iterator[Row]:
        with file.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _json_row(_parse(line, f"{file}, line {number}"), file)

    return _with_columns("JSON lines", file, rows)


def _read_json(file: Path) -> Table:
    """A list of objects or texts, also as the only list of an object; columns; else JSON lines."""
    text = file.read_text(encoding="utf-8-sig")
    try:
        tree = parse_json(text)
    except ValueError as error:
        if _holds_json_lines(file):
            return _read_json_lines(file)
        raise ValueError(f"{file} must be JSON; got: {error}") from error
    if isinstance(tree, dict):
        lists = {key: value for key, value in tree.items() if isinstance(value, list)}
        if len(lists) > 1 and all(_holds_objects(value) for value in lists.values()):
            raise ValueError(
                f"{file} must hold one list; got {', '.join(lists)}: save each in its own file"
            )
        if len(tree) >= MIN_MAP and all(isinstance(value, str) for value in tree.values()):
            tree = {"texts": list(tree.values())}  # of texts by number or name
            lists = tree
        tree = _rows_of_columns(tree) or (next(iter(lists.values())) if len(lists) == 1 else [tree])
    if not isinstance(tree, list):
        raise ValueError(f"{file} must be a JSON list of texts or of objects")
    return _with_columns("JSON", file, lambda: (_json_row(item, file) for item in tree))


def _parse(line: str, place: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise ValueError(f"{place}: must be JSON; got {error}") from error


def _holds_objects(value: list) -> bool:
    return bool(value) and all(isinstance(item, dict) for item in value)


def _rows_of_columns(tree: dict) -> list[Row] | None:
    """The rows of an object of columns, each a list or an object by row; None for another one."""
    columns = [
        list(value.values()) if isinstance(value, dict) else value for value in tree.values()
    ]
    is_table = len(columns) > 1 or (columns and isinstance(next(iter(tree.values())), dict))
    if not is_table or not all(isinstance(column, list) and len(column) > 1 for column in columns):
        return None
    kinds = {type(value) for value in tree.values()}
    keys = {tuple(value) for value in tree.values() if isinstance(value, dict)}
    if len({len(column) for column in columns}) > 1 or len(kinds) > 1 or len(keys) > 1:
        return None
    return [dict(zip(tree, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _flat(item: Row, depth: int = MAX_DEPTH) -> Row:
    """A row whose objects are columns of their own: {"data": {"text": ...}} is data.text."""
    row: Row = {}
    for key, value in item.items():
        if isinstance(value, dict) and depth:
            row |= {f"{key}.{inner}": v for inner, v in _flat(value, depth - 1).items()}
        else:
            row[str(key)] = value
    return row


def _json_row(item: Any, file: Path) -> Row:
    if isinstance(item, dict):
        return _flat(item)
    if isinstance(item, str):
        return {"text": item}
    raise ValueError(f"{file} must hold objects or texts; got a {type(item).__name__}")


def _with_columns(kind: str, file: Path, rows: Callable[[], Iterator[Row]]) -> Table:
    """A table whose columns are the keys of its first rows."""
    sample = list(islice(rows(), NUM_SAMPLE_ROWS))
    if not sample:
        raise ValueError(f"{file} must be a table with rows; it is empty")
    columns = dict.fromkeys(str(key) for row in sample for key in row)
    return Table(kind, tuple(columns), rows())


def _read_parquet(file: Path) -> Table:
    """Raises ValueError with the line that installs pyarrow where it is absent."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ValueError("Parquet needs pyarrow: pip install 'multigan[text]'") from error
    try:
        opened = parquet.ParquetFile(file)
        sample = next(opened.iter_batches(NUM_SAMPLE_ROWS), None)
        found = [_flat(row) for row in ([] if sample is None else sample.to_pylist())]
        columns = tuple(dict.fromkeys(key for row in found for key in row))
    except Exception as error:  # pyarrow raises arbitrary exceptions
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} must be a Parquet file; got: {text}") from error

    def rows() -> Iterator[Row]:
        try:
            for batch in opened.iter_batches():
                yield from map(_flat, batch.to_pylist())
        except Exception as error:  # pyarrow raises arbitrary exceptions
            text = " ".join(str(error).split())[:200]
            raise ValueError(f"{file} must be an intact Parquet file; got: {text}") from error

    return Table("Parquet", columns, rows())


def _holds_json(file: Path) -> bool:
    """Check if a file is one JSON list of objects or texts, or one object over several lines."""
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            return False
        with file.open("rb") as stream:
            start = b"".join(stream.read(64).removeprefix(b"\xef\xbb\xbf").split())
        if not start.startswith((b"[{", b'["', b'{"')):
            return False
        tree = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(tree, list) or (isinstance(tree, dict) and not _holds_json_lines(file))


def _holds_json_lines(file: Path) -> bool:
    """Check if the first two lines of a file are JSON objects."""
    try:
        with file.open("rb") as stream:  # no line of any length
            content = [stream.readline(MAX_PROBED_BYTES) for _ in range(2)]
        lines = [line.decode("utf-8-sig") for line in content if line.strip()]
        return bool(lines) and all(isinstance(json.loads(line), dict) for line in lines)
    except (OSError, ValueError, RecursionError):
        return False


# Type of a value -> its name in messages; the first that fits.
VALUE_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "single words"), (bool, "truth values"), ((int, float), "numbers"), (list, "lists"),
    (dict, "objects"), (bytes, "bytes"), (type(None), "nothing"),
)  # fmt: skip
READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".tab": read_csv,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
