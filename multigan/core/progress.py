"""Progress of work that takes longer than a moment, on the standard error stream."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
FIRST_S = 2.0  # shorter work shows nothing
INTERVAL_S = 0.5  # between two updates of one line on a terminal
LOG_INTERVAL_S = 30.0  # between two lines elsewhere


def tracked(items: Iterable[T], total: int, what: str, each: int = 1) -> Iterator[T]:
    """Yield the items; from FIRST_S seconds on, print how many of `total` are done.

    what: the noun of what is counted, such as "images read"; each: the number in one item. A
    terminal shows one line that is erased at the end; a file gets a line every LOG_INTERVAL_S.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    interval, start = (INTERVAL_S if is_terminal else LOG_INTERVAL_S), time.monotonic()
    due, width = start + max(FIRST_S, 0 if is_terminal else interval), 0
    try:
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now >= due:
                line = _line(min(done * each, total), total, what, now - start)
                width = max(width, len(line))
                _print(f"\r{line:<{width}}" if is_terminal else f"{line}\n")
                due = now + interval
    finally:
        if is_terminal and width:
            _print(f"\r{'':<{width}}\r")


def _line(done: int, total: int, what: str, seconds: float) -> str:
    left = seconds / done * (total - done)
    return f"{done:,} of {total:,} {what}, {left:,.0f} s left"


def _print(text: str) -> None:
    """Print to the error stream, which may be gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()
