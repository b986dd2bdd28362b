"""Splitting of lines into words, for metrics and n-gram models."""

from __future__ import annotations

import re
from collections.abc import Callable

# Words with inner hyphens and apostrophes, and every other character that is no space.
WORD = r"\w+(?:[-']\w+)*|[^\w\s]"
LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # those of str.splitlines


def split_words(line: str) -> list[str]:
    """Split a line into words and punctuation marks."""
    return re.findall(WORD, line)


def collapse_line_breaks(text: str) -> str:
    """Replace every line break by a space."""
    return LINE_BREAKS.sub(" ", text)


SPLITTERS: dict[str, Callable[[str], list[str]]] = {"word": split_words, "whitespace": str.split}
