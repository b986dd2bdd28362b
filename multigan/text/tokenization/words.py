"""How a line is cut into words wherever words are counted: in metrics and n-gram models."""

from __future__ import annotations

import re
from collections.abc import Callable

# Words with inner hyphens and apostrophes, and every other character that is no space.
WORD = r"\w+(?:[-']\w+)*|[^\w\s]"
BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # what str.splitlines breaks at


def split_words(line: str) -> list[str]:
    """The words and punctuation marks of a line."""
    return re.findall(WORD, line)


def collapse_line_breaks(text: str) -> str:
    """The text with a space wherever a line would break."""
    return BREAKS.sub(" ", text)


def get_splitter(name: str) -> Callable[[str], list[str]]:
    """The splitter called `name`. Raises ValueError, listing the known ones, if there is none."""
    if name not in SPLITTERS:
        raise ValueError(f"unknown splitter {name!r}; known: {', '.join(SPLITTERS)}")
    return SPLITTERS[name]


SPLITTERS: dict[str, Callable[[str], list[str]]] = {"word": split_words, "whitespace": str.split}
