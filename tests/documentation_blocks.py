"""Blocks and inline commands of README and documentation, and short forms of commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.run_helpers import REPOSITORY

ROOT_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "data/README.md")
FILES = [*(REPOSITORY / name for name in ROOT_PAGES), *sorted((REPOSITORY / "docs").rglob("*.md"))]
PAGES = {
    file.relative_to(REPOSITORY).as_posix(): file.read_text(encoding="utf-8") for file in FILES
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Options whose values make a command long, and the values with which it takes seconds.
SHORT = {
    "-n": "1",
    "--n": "1",
    "--bars": "2",
    "--num-paths": "1",
    "--num-steps": "2",
    "--num-workers": "1",
    "--per-class": "2",
    "--num-samples": "60",
    "--preset": "mini-8",
    "--device": "cpu",
}
TRAINING = ["--tiny", "--steps", "2", "--save-every", "2", "--no-report"]


class Block(NamedTuple):
    """A fenced block: its page, its language, its text."""

    page: str
    language: str
    text: str


def blocks() -> list[Block]:
    """All fenced blocks of all pages, in order."""
    return [Block(page, *found) for page, text in PAGES.items() for found in FENCE.findall(text)]


def commands_of(page: str) -> list[list[str]]:
    """The commands of the bash blocks of a page, as words.

    `#` begins a comment, `&&` a new command; a line that ends with a backslash continues.
    """
    text = "".join(b.text for b in blocks() if b.page == page and b.language == "bash")
    lines = re.sub(r"\\\n *", "", text).splitlines()
    parts = [part for line in lines for part in line.split("&&")]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


def python_of(page: str) -> list[str]:
    """The Python blocks of a page."""
    return [b.text for b in blocks() if b.page == page and b.language == "python"]


def inline_code() -> list[str]:
    """All distinct code spans outside of fenced blocks."""
    prose = "\n".join(FENCE.sub("", text) for text in PAGES.values())
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))
    return list(dict.fromkeys(spans))


def inline_commands(program: str) -> dict[str, list[str]]:
    """The commands of a program in code spans: text -> words."""
    return {span: shlex.split(span) for span in inline_code() if span.startswith(f"{program} ")}


def shorten(words: Iterable[str], replace: Mapping[str, Any] | None = None) -> list[str]:
    """The words after `multigan`, so that they take seconds: tiny networks, two steps, one sample.

    `replace` maps words to others.
    """
    words = list(words)
    pairs = zip(["", *words], words, strict=False)
    words = [str(SHORT.get(before, word)) for before, word in pairs]
    words = [str((replace or {}).get(word, word)) for word in words]
    if words[0] != "train":
        return words
    at = words.index("--steps") if "--steps" in words else len(words)
    kept = [*words[:at], *words[at + 2 :]]
    return [*kept, *(TRAINING if "--tiny" not in kept else TRAINING[1:])]
