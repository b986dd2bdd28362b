"""What the README shows, section by section: its blocks, its commands, and quick forms of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.run_helpers import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
# Options whose values make a command long, and the values with which it takes seconds.
LESS = {
    "-n": "1",
    "--n": "1",
    "--bars": "2",
    "--walks": "1",
    "--frames": "2",
    "--workers": "1",
    "--per-class": "2",
    "--count": "60",
    "--preset": "mini-8",
    "--device": "cpu",
}
TRAINED = ["--tiny", "--steps", "2", "--save-every", "2", "--no-report"]


class Block(NamedTuple):
    """A fenced block: the title of its section, its language ("" for none), its text."""

    section: str
    language: str
    text: str


def blocks(text: str = README) -> list[Block]:
    """All fenced blocks, in order; what stands before the first title is of section ""."""
    found = []
    for part in re.split(r"^## ", "\n" + text, flags=re.MULTILINE):
        title = part.partition("\n")[0] if part[0] != "\n" else ""
        fenced = re.findall(r"^```(\w*)\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
        found += [Block(title, *block) for block in fenced]
    return found


def shown(section: str) -> list[list[str]]:
    """The commands of a section's blocks without a language, as words, the program first.

    Two spaces or `#` end a command, what begins with a space goes on explaining it, and a line that
    ends with a backslash goes on in the next one.
    """
    text = "".join(b.text for b in blocks() if b.section == section and not b.language)
    lines = re.sub(r"\\\n *", "", text).splitlines()
    heads = [re.split(r" {3,}| {2}(?=#)", line)[0] for line in lines if line[:1].strip()]
    return [shlex.split(head, comments=True) for head in heads]


def python_of(section: str) -> list[str]:
    """The Python blocks of a section."""
    return [b.text for b in blocks() if b.section == section and b.language == "python"]


def said(program: str) -> dict[str, list[str]]:
    """The commands of a program in running text: as it stands there -> its words."""
    prose = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return {span: shlex.split(span) for span in spans if span.startswith(f"{program} ")}


def quick(words: Iterable[str], others: Mapping[str, Any] | None = None) -> list[str]:
    """The words after `multigan` in seconds: tiny networks, two steps, one sample of each.

    `others` puts other words in the place of some.
    """
    words = list(words)
    pairs = zip(["", *words], words, strict=False)
    words = [str(LESS.get(before, word)) for before, word in pairs]
    words = [str((others or {}).get(word, word)) for word in words]
    if words[0] != "train":
        return words
    at = words.index("--steps") if "--steps" in words else len(words)
    return [*words[:at], *words[at + 2 :], *TRAINED]
