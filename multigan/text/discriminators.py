"""The discriminators of text by name, at the sizes that a CPU trains in minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from multigan.text.cnn import TextCNN
from multigan.text.judge import TextTransformer


def build_discriminator(name: str, vocabulary: int, length: int, labels: int = 0) -> Any:
    """A fresh discriminator of lines (B, length, vocabulary) of so many classes.

    Raises ValueError, listing the known ones, for an unknown name.
    """
    if name not in DISCRIMINATORS:
        known = ", ".join(DISCRIMINATORS)
        raise ValueError(f"discriminator {name!r} is unknown; known: {known}")
    return DISCRIMINATORS[name](vocabulary, length, labels)


DISCRIMINATORS: dict[str, Callable[[int, int, int], Any]] = {
    "position": lambda v, t, n: TextTransformer(v, t, n),
    "sentence": lambda v, t, n: TextTransformer(v, t, n, judges="sentence"),
    "cnn": lambda v, t, n: TextCNN(v, n, dropout=0.5),
    "representations": lambda v, t, n: TextCNN(v, n, representations=8),
}
