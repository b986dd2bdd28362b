"""Rows of tables of any kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

Row = dict[str, Any]
MORE = "\0more"  # the key of the last cell of a row with those beyond the columns
REPEATED = "\0repeated"  # the key of a row that repeats the names of the columns


class Table(NamedTuple):
    """The kind of a table, its columns, its rows, and the number of lines before the columns."""

    kind: str
    columns: tuple[str, ...]
    rows: Iterable[Row]
    before: int = 0
