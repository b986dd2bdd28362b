"""CSV and TSV files as programs write them: delimiters, quotes, escapes and headers are found."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from multigan.text.formats.table_rows import MORE, REPEATED, Row, Table

NUM_SAMPLE_ROWS = 200  # by which a format and the column of the texts are found
# Names of columns of texts, in order of preference.
TEXT_NAMES = ("text", "sentence", "content", "tweet", "review", "comment", "message", "body",
              "line", "document", "caption", "title", "poem", "lyrics", "quote")  # fmt: skip
DELIMITERS = ",;\t|"
SUFFIX_DELIMITERS = {".tsv": "\t", ".tab": "\t"}
MAX_CELL_CHARACTERS = 1_000_000
MAX_LINE_CHARACTERS = 4_000_000
MAX_SAMPLE_CHARACTERS = 1 << 20  # by which a format is found
MAX_BEFORE = 10  # lines of a comment before the header
ESCAPED_QUOTE = re.compile(r"(?<!\\)(?:\\\\)*\\\"(?=[^,;\t|\r\n])")
DOUBLED_QUOTE = re.compile(r"[^,;\t|\r\n\"]\"\"[^,;\t|\r\n\"]")


class CsvFormat(NamedTuple):
    """The delimiter of cells, whether they may be in quotes, and what escapes a quote in them."""

    delimiter: str
    has_quotes: bool = True
    escape: str | None = None  # None: a quote is doubled
    has_spaces: bool = False  # between a delimiter and a quote

    def settings(self) -> dict[str, Any]:
        """Return the arguments of csv.reader."""
        if not self.has_quotes:
            return {"delimiter": self.delimiter, "quoting": csv.QUOTE_NONE}
        return {
            "delimiter": self.delimiter,
            "skipinitialspace": self.has_spaces,
            "escapechar": self.escape,
            "doublequote": self.escape is None,
        }

    def leaves_open(self, lines: Sequence[str]) -> bool:
        """Check if the quotes in the lines of a row are not closed."""
        text = "".join(lines)
        if self.escape is not None:
            text = re.sub(r"\\.", "", text, flags=re.DOTALL)
        return self.has_quotes and text.count('"') % 2 == 1


def read_csv(file: Path) -> Table:
    """Open a table; columns without a header are called 1, 2, ...

    Lines of a comment before the header are passed over. Raises ValueError for a file without rows.
    """
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    form = find_format(file)
    first = list(islice(csv_rows(file, form), NUM_SAMPLE_ROWS))
    if not first:
        raise ValueError(f"{file} must be a table with rows; it is empty")
    before = _num_before_header(first)
    header = first[before]
    has_header = _is_header(header, first[before + 1 :])
    columns = _unique(header if has_header else [str(k + 1) for k in range(len(header))])

    def rows() -> Iterator[Row]:
        for cells in islice(csv_rows(file, form), before + has_header, None):
            if has_header and cells == header:
                yield {REPEATED: True}
                continue
            row = dict(zip(columns, cells, strict=False))
            if any(cell.strip() for cell in cells[len(columns) :]):
                row[MORE] = form.delimiter.join(cells[len(columns) - 1 :])
            yield row

    name = "TSV" if form.delimiter == "\t" else "CSV"
    return Table(name if has_header else f"{name} without a header", columns, rows(), before)


def find_format(file: Path) -> CsvFormat:
    """Find the format: its delimiter as stated, by the suffix or by the first rows."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        sample = stream.read(MAX_SAMPLE_CHARACTERS)
    lines = sample.splitlines(keepends=True)[:NUM_SAMPLE_ROWS]
    escape = None
    if ESCAPED_QUOTE.search(sample) and not DOUBLED_QUOTE.search(sample):
        escape = "\\"
    delimiter = (
        _stated_delimiter(file)
        or SUFFIX_DELIMITERS.get(file.suffix.lower())
        or _find_delimiter(file, lines, escape)
    )
    return _format(delimiter, lines, escape)


def _format(delimiter: str, lines: Sequence[str], escape: str | None) -> CsvFormat:
    """The format of a file with these first lines; quotes of TSV may be text."""
    has_quotes = delimiter != "\t" or _has_quoted_cells(lines)
    has_spaces = any(f'{delimiter} "' in line for line in lines)
    return CsvFormat(delimiter, has_quotes, escape, has_spaces)


def csv_rows(file: Path, form: CsvFormat) -> Iterator[list[str]]:
    """Iterate over the rows. Raises ValueError if the quote of a cell is never closed."""
    read: list[str] = []  # lines of the present row
    with file.open(encoding="utf-8-sig", newline="") as stream:
        if _stated_delimiter(file):
            next(stream)

        def lines() -> Iterator[str]:
            while line := stream.readline(MAX_LINE_CHARACTERS + 1):
                if len(line) > MAX_LINE_CHARACTERS:
                    raise ValueError(
                        f"{file}: a line of a table must have at most {MAX_LINE_CHARACTERS:,} "
                        "characters; got more"
                    )
                read.append(line)
                yield line

        reader = csv.reader(lines(), **form.settings())
        for cells in reader:
            if len(read) > 1 and form.leaves_open(read):
                raise ValueError(
                    f"{file}: the quote of a cell that begins in line "
                    f"{reader.line_num - len(read) + 1} must be closed; it is not"
                )
            read.clear()
            if cells:
                yield cells


def _stated_delimiter(file: Path) -> str:
    """The delimiter that a first line such as sep=; states; "" without such a line."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        first = stream.readline(16).rstrip("\r\n")
    stated = first[4:] if first.lower().startswith("sep=") else ""
    return stated if len(stated) == 1 else ""


def _has_quoted_cells(lines: Sequence[str]) -> bool:
    """Check if cells of a TSV file begin and end with quotes, rather than hold them as text."""
    cells = [cell for line in lines for cell in line.strip().split("\t")]
    quoted = [cell for cell in cells if cell.startswith('"')]
    return bool(quoted) and all(len(cell) > 1 and cell.endswith('"') for cell in quoted)


def _find_delimiter(file: Path, lines: Sequence[str], escape: str | None) -> str:
    """The delimiter that gives the first rows an equal number of cells, as many as possible."""

    def score(delimiter: str) -> tuple[float, int]:
        form = _format(delimiter, lines, escape)
        counts = [len(cells) for cells in islice(csv_rows(file, form), NUM_SAMPLE_ROWS)]
        width = max(set(counts), key=counts.count) if counts else 1
        return (counts.count(width) / len(counts) if width > 1 else 0.0, width)

    return max(DELIMITERS, key=score)


def _num_before_header(rows: Sequence[Sequence[str]]) -> int:
    """The number of first rows of one cell, or of a comment, before those of a table."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if width == 1:
        return 0
    for number, cells in enumerate(rows[: MAX_BEFORE + 1]):
        if len(cells) == width or not (len(cells) == 1 or cells[0].startswith("#")):
            return number
    return 0


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The stripped names of columns; one that is there already gets a number."""
    found: list[str] = []
    for name in (name.strip() for name in names):
        number = 2
        unique = name
        while unique in found:
            unique, number = f"{name}_{number}", number + 1
        found.append(unique)
    return tuple(found)


def _is_header(cells: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Check if a first row holds names: short, different, no numbers, no sentences.

    A name of a column is no value of it: a class in the first row occurs in `others` again.
    """
    names = [cell.strip() for cell in cells]
    if any(name.lower() in TEXT_NAMES for name in names) and not any(map(_is_number, names)):
        return True
    if len(set(names)) < len(names) or "" in names[1:]:
        return False
    values = [row for row in others if row != cells]  # a repeated header is none
    if any(row[k : k + 1] == [cell] for row in values for k, cell in enumerate(cells)):
        return False
    return all(len(name) <= 40 and name.count(" ") < 3 and not _is_number(name) for name in names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
