"""Recurrent and parallel backbones of text generators, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from multigan.text.models.hf_backbone import HFBackbone
from multigan.text.models.relational_memory import RelationalMemory
from multigan.text.models.transformer import CausalTransformer

State = tuple[Tensor, Tensor]  # h and c (layers, B, width)


class LSTMBackbone(nn.Module):
    """An LSTM: inputs (B, T, E) -> features (B, T, width)."""

    is_parallel = True

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.output_dim = width
        self.lstm = nn.LSTM(inputs, width, layers, batch_first=True)

    def initial_state(self, x: Tensor) -> State:
        """The state before the first of inputs that are like x (B, ...)."""
        zeros = x.new_zeros(self.lstm.num_layers, x.shape[0], self.lstm.hidden_size)
        return zeros, zeros

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, E) -> features (B, width) and the next state."""
        features, state = self.lstm(x[:, None], state)
        return features[:, 0], state

    def forward_sequence(self, x: Tensor) -> Tensor:
        """All steps in one pass: (B, T, E) -> (B, T, width)."""
        return self.lstm(x)[0]


class BackboneConfig(NamedTuple):
    """The arguments of all backbones; each uses those that apply to it."""

    inputs: int
    width: int
    layers: int
    heads: int
    memory_slots: int
    length: int
    relgan_scaling: bool
    hf_config: Mapping[str, Any] | None


def _hugging_face(c: BackboneConfig) -> HFBackbone:
    if c.hf_config is None:
        raise ValueError(
            "hf_config must be the content of a config.json for backbone 'hugging_face'; got None"
        )
    return HFBackbone(c.inputs, c.hf_config)


def build_backbone(name: str, config: BackboneConfig) -> Any:
    """Build a new backbone. Raises ValueError, listing the known ones, for an unknown name."""
    if name not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}; got {name!r}")
    return BACKBONES[name](config)


BACKBONES: dict[str, Callable[[BackboneConfig], Any]] = {
    "lstm": lambda c: LSTMBackbone(c.inputs, c.width, c.layers),
    "relational": lambda c: RelationalMemory(
        c.inputs, c.width, c.heads, c.memory_slots, c.relgan_scaling
    ),
    "transformer": lambda c: CausalTransformer(c.inputs, c.width, c.layers, c.heads, c.length),
    "hugging_face": _hugging_face,
}
