"""Counts of what a reader of data used, changed and left out, by reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

USED, CHANGED, LEFT_OUT, IGNORED = "used", "changed", "left out", "ignored"
USES = (USED, CHANGED, LEFT_OUT, IGNORED)  # in the order of the table
# Characters that a terminal obeys, or that reorder a line.
CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
MAX_EXAMPLES = 3  # of each reason
MAX_ROWS = 100  # of a stored table


@dataclass
class Counted:
    """The number of items of one use and reason, and the names of the first few."""

    use: str
    reason: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


class DataCounts:
    """A table of what a reader did with its items: used, changed, left out, ignored.

    An item that is used and changed counts under both. `unit` names the items, such as images.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.place = ""  # where the items are during training, for the summary
        self._rows: dict[tuple[str, str], Counted] = {}

    @property
    def rows(self) -> list[Counted]:
        """The rows by use, and within a use by falling count."""
        return sorted(self._rows.values(), key=lambda row: (USES.index(row.use), -row.count))

    def add(self, use: str, reason: str, examples: Iterable[str] = (), count: int = 1) -> None:
        """Count `count` more items; `examples` names some of them.

        Raises ValueError for a use that is not one of USES.
        """
        if use not in USES:
            raise ValueError(f"use must be one of {', '.join(USES)}; got {use!r}")
        row = self._rows.setdefault((use, reason), Counted(use, reason))
        row.count += count
        shown = islice(examples, MAX_EXAMPLES - len(row.examples))
        row.examples += [printable(example) for example in shown]

    def total(self, use: str) -> int:
        """Return the number of items of one use; an item with several changes counts each time."""
        return sum(row.count for row in self._rows.values() if row.use == use)

    def lines(self) -> list[str]:
        """Return a line for each row: use, count, reason and examples, in columns."""
        width = max((len(f"{row.count:,}") for row in self.rows), default=0)
        found = []
        for row in self.rows:
            more = ", ..." if row.count > len(row.examples) else ""
            named = f": {', '.join(row.examples)}{more}" if row.examples else ""
            found.append(f"{row.use:<{len(LEFT_OUT)}}  {row.count:>{width},}  {row.reason}{named}")
        return found

    def summary(self) -> str:
        """Return one short line: counts by use, without reasons of used items, and the place."""
        parts = [f"{self.total(USED):,} {self.unit} used"]
        for use in (CHANGED, LEFT_OUT):
            rows = [row for row in self.rows if row.use == use]
            if rows:
                reasons = ", ".join(f"{row.count:,} {row.reason}" for row in rows[:MAX_EXAMPLES])
                more = ", ..." if len(rows) > MAX_EXAMPLES else ""
                parts.append(f"{use}: {reasons}{more}")
        return "; ".join([*parts, *([self.place] if self.place else [])])

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON, for recipe.json; names that are not UTF-8 are escaped."""
        rows = [
            [row.use, printable(row.reason), row.count, [printable(e) for e in row.examples]]
            for row in self.rows
        ]
        return {"unit": self.unit, "rows": rows}

    @classmethod
    def from_json(cls, content: Any) -> DataCounts | None:
        """Return the table that `to_json` described; None for anything else."""
        rows = content.get("rows") if isinstance(content, Mapping) else None
        counts = cls(str(content["unit"])) if isinstance(rows, list) and "unit" in content else None
        if counts is None:
            return None
        try:
            for use, reason, count, examples in (rows or ())[:MAX_ROWS]:
                named = [str(name) for name in examples[:MAX_EXAMPLES]]
                counts.add(str(use), str(reason), named, int(count))
        except (TypeError, ValueError, OverflowError):
            return None
        return counts


def printable(name: str) -> str:
    """Escape what a terminal would obey, and bytes of a file name that are not UTF-8: caf\\xe9."""
    try:
        content = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        content = name.encode("utf-8", "backslashreplace")
    text = content.decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
