"""Lines of text for a terminal."""

import textwrap

WIDTH = 80  # of a line, in characters
INDENT = 10  # of a line that has a name


def labeled(name: str, text: str) -> str:
    """Return `text` after a name, wrapped at WIDTH; words, such as paths, are never broken."""
    return textwrap.fill(
        " ".join(text.split("\n")),
        WIDTH,
        initial_indent=f"{name} ".ljust(INDENT),
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
