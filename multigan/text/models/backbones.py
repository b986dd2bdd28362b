"""Recurrent and parallel backbones of text generators, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from multigan.text.models.hf_backbone import HuggingFaceBody
from multigan.text.models.relational_memory import RelationalMemory
from multigan.text.models.transformer import CausalTransformer

State = tuple[Tensor, Tensor]  # h and c (layers, B, width)


class LSTMCell(nn.Module):
    """Inputs (B, T, E) -> features (B, T, width), layer upon layer."""

    at_once = True

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.features = width
        self.body = nn.LSTM(inputs, width, layers, batch_first=True)

    def start(self, x: Tensor) -> State:
        """The state before the first of inputs that are like x (B, ...)."""
        zeros = x.new_zeros(self.body.num_layers, x.shape[0], self.body.hidden_size)
        return zeros, zeros

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, E) -> features (B, width) and the next state."""
        features, state = self.body(x[:, None], state)
        return features[:, 0], state

    def unroll(self, x: Tensor) -> Tensor:
        """All steps at once: (B, T, E) -> (B, T, width)."""
        return self.body(x)[0]


class BackboneConfig(NamedTuple):
    """What a cell is built from; each takes what it knows."""

    inputs: int
    width: int
    layers: int
    heads: int
    slots: int
    length: int
    published_scale: bool
    body: Mapping[str, Any] | None


def _hugging_face(s: BackboneConfig) -> HuggingFaceBody:
    if s.body is None:
        raise ValueError("the cell hugging_face needs a body: the content of a config.json")
    return HuggingFaceBody(s.inputs, s.body)


def build_backbone(name: str, sizes: BackboneConfig) -> Any:
    """A fresh cell. Raises ValueError, listing the known ones, for an unknown name."""
    if name not in BACKBONES:
        raise ValueError(f"cell {name!r} is unknown; known: {', '.join(BACKBONES)}")
    return BACKBONES[name](sizes)


BACKBONES: dict[str, Callable[[BackboneConfig], Any]] = {
    "lstm": lambda s: LSTMCell(s.inputs, s.width, s.layers),
    "relational": lambda s: RelationalMemory(
        s.inputs, s.width, s.heads, s.slots, s.published_scale
    ),
    "transformer": lambda s: CausalTransformer(s.inputs, s.width, s.layers, s.heads, s.length),
    "hugging_face": _hugging_face,
}
