"""Rows of text whose cells stand below each other."""

from __future__ import annotations

from collections.abc import Sequence


def print_columns(rows: Sequence[tuple[str, ...]], indent: str = "") -> None:
    """Print the rows, every column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print((indent + "  ".join(cells)).rstrip())
