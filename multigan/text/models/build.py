"""Build a generator or a discriminator by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from multigan.text.models.backbones import BACKBONES
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator
from multigan.text.models.hf_backbone import load_hf_weights, read_config
from multigan.text.models.transformer_discriminator import TextTransformer


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


def build_generator(cell: str, vocabulary: int, length: int, labels: int, **how: Any) -> Any:
    """A fresh TextGenerator; `how` are its other arguments.

    `cell` is a name of `cells.CELLS`, or a local folder with a causal language model of Hugging
    Face's, whose weights (all but its table of tokens) the body begins with. The folder is not
    needed again: the generator is described by its config. Raises ValueError for an unknown name
    and for a folder that holds no such model.
    """
    if cell in BACKBONES:
        return TextGenerator(vocabulary, length, labels, cell, **how)
    if not Path(cell).is_dir():
        known = ", ".join(BACKBONES)
        raise ValueError(f"cell {cell!r} is unknown; known: {known}, or a folder with a model")
    body = read_config(cell)
    generator = TextGenerator(vocabulary, length, labels, "hugging_face", body=body, **how)
    load_hf_weights(generator.cell, cell)
    return generator
