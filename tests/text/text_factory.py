"""Where the captions lie, if they do, and a few lines to begin with."""

from pathlib import Path

import pytest

from multigan.text.tokenization.words import split_words

COCO = Path(__file__).parents[3] / "shared" / "data" / "coco"
needs_captions = pytest.mark.skipif(not COCO.is_dir(), reason=f"the captions are not at {COCO}")

LINES = [
    "a man rides a horse.",
    "a man rides a bicycle down the street.",
    "two dogs, one cat (and a bird) sleep!",
    "it's a well-known place; isn't it?",
    "a man rides a horse.",
]


def captions(name):
    """The words of every line of train.txt or test.txt."""
    lines = (COCO / name).read_text().splitlines()
    return [split_words(line) for line in lines]
