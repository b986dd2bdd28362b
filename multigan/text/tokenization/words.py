"""Splitting of lines into words, for the word tokenizer, metrics and n-gram models."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

# Pieces of a line, in Oniguruma's syntax: #tags and @names; words, with their combining marks,
# joiners, inner hyphens and apostrophes; of all other text whole grapheme clusters.
_LETTERS = r"\w[\w\x{200c}\x{200d}]*"
WORD = rf"(?<!\w)[#@]{_LETTERS}|{_LETTERS}(?:[-']{_LETTERS})*|(?!\s)\X"
ASCII_WORD = re.compile(r"(?<!\w)[#@]\w+|\w+(?:[-']\w+)*|[^\w\s]")  # equal for ASCII, and faster
LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # those of str.splitlines

MAX_UNSPACED_FRACTION = 0.3  # of the characters of a text that is split into words at spaces
# Letters of scripts without spaces between words: Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han.
UNSPACED = re.compile(
    "[\u0e01-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003134f]"
)


def split_words(line: str) -> list[str]:
    """Split a line into words and punctuation marks; no grapheme cluster is cut."""
    if line.isascii():
        return ASCII_WORD.findall(line)
    return [piece for piece, _ in _splitter().pre_tokenize_str(line)]


@lru_cache(maxsize=1)
def _splitter() -> Any:
    hf = tokenizers_library()
    return hf.pre_tokenizers.Split(hf.Regex(WORD), behavior="removed", invert=True)


def tokenizers_library() -> Any:
    """Import `tokenizers`. Raises ValueError, with the command that installs it, where absent."""
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise ValueError(
            "the package tokenizers must be installed for text: pip install 'multigan[text]'"
        ) from error


def unspaced_fraction(lines: Iterable[str]) -> float:
    """The fraction of the characters that are of scripts without spaces between words."""
    num_characters = num_unspaced = 0
    for line in lines:
        num_characters += len(line)
        num_unspaced += 0 if line.isascii() else len(UNSPACED.findall(line))
    return num_unspaced / max(1, num_characters)


def collapse_line_breaks(text: str) -> str:
    """Replace every line break by a space."""
    return LINE_BREAKS.sub(" ", text)


SPLITTERS: dict[str, Callable[[str], list[str]]] = {"word": split_words, "whitespace": str.split}
