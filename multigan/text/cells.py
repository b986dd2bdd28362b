"""The cells of the text generator by name: what turns the tokens so far into features.

A cell has `features`, the width of what it says; `start(x)`, the state before inputs like x;
`step(x, state)`, one position (B, E) -> (B, features); and `unroll(x)`, all of them at once,
(B, T, E) -> (B, T, features), with the same values and gradients as step by step. `at_once` says
whether `unroll` takes less time than the steps; if not, they are not done again for the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from multigan.text.hugging_face import HuggingFaceBody
from multigan.text.lstm import LSTMCell
from multigan.text.relational import RelationalMemory
from multigan.text.transformer import CausalTransformer


class Sizes(NamedTuple):
    """What a cell is built from; each takes what it knows."""

    inputs: int
    width: int
    layers: int
    heads: int
    slots: int
    length: int
    published_scale: bool
    body: Mapping[str, Any] | None


def _hugging_face(s: Sizes) -> HuggingFaceBody:
    if s.body is None:
        raise ValueError("the cell hugging_face needs a body: the content of a config.json")
    return HuggingFaceBody(s.inputs, s.body)


def build_cell(name: str, sizes: Sizes) -> Any:
    """A fresh cell. Raises ValueError, listing the known ones, for an unknown name."""
    if name not in CELLS:
        raise ValueError(f"cell {name!r} is unknown; known: {', '.join(CELLS)}")
    return CELLS[name](sizes)


CELLS: dict[str, Callable[[Sizes], Any]] = {
    "lstm": lambda s: LSTMCell(s.inputs, s.width, s.layers),
    "relational": lambda s: RelationalMemory(
        s.inputs, s.width, s.heads, s.slots, s.published_scale
    ),
    "transformer": lambda s: CausalTransformer(s.inputs, s.width, s.layers, s.heads, s.length),
    "hugging_face": _hugging_face,
}
