"""Numbers of a run that a schedule may move, as text: "start -> end"."""

from __future__ import annotations

from collections.abc import Iterable

GROUPS = ("lr", "gamma", "adam", "ema", "anneal", "augment", "weight")  # prefixes of log keys


def group_of(name: str) -> str:
    """Return the prefix of a log key."""
    return name.partition("/")[0]


def in_order(names: Iterable[str]) -> list[str]:
    """Return the log keys of numbers that a schedule may move, each once, in a fixed order."""
    found = [name for name in dict.fromkeys(names) if group_of(name) in GROUPS]
    return sorted(found, key=lambda name: GROUPS.index(group_of(name)))


def movement(start: float, end: float, arrow: str = "->") -> str:
    """Return "start -> end", or the number alone where both are equal."""
    return number(start) if start == end else f"{number(start)} {arrow} {number(end)}"


def number(value: float) -> str:
    """Return four significant digits, and a whole number with all of its own."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"
