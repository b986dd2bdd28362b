"""A text generator around a cell by name, or around a model that lies in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from multigan.text.cells import CELLS
from multigan.text.generators import TextGenerator
from multigan.text.hugging_face import adopt_body, read_config


def build_generator(cell: str, vocabulary: int, length: int, labels: int, **how: Any) -> Any:
    """A fresh TextGenerator; `how` are its other arguments.

    `cell` is a name of `cells.CELLS`, or a local folder with a causal language model of Hugging
    Face's, whose weights (all but its table of tokens) the body begins with. The folder is not
    needed again: the generator is described by its config. Raises ValueError for an unknown name
    and for a folder that holds no such model.
    """
    if cell in CELLS:
        return TextGenerator(vocabulary, length, labels, cell, **how)
    if not Path(cell).is_dir():
        known = ", ".join(CELLS)
        raise ValueError(f"cell {cell!r} is unknown; known: {known}, or a folder with a model")
    body = read_config(cell)
    generator = TextGenerator(vocabulary, length, labels, "hugging_face", body=body, **how)
    adopt_body(generator.cell, cell)
    return generator
