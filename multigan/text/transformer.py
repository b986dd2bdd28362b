"""The causal transformer as a cell of the text generator, with a key-value cache."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from multigan.text.layers import Block, Past, causal_mask


class Cache(NamedTuple):
    """How many positions have been seen, and what each block keeps of them."""

    seen: int
    past: list[Past | None]


class CausalTransformer(nn.Module):
    """Inputs (B, T, E) -> features (B, T, width); T is at most `length`."""

    at_once = True

    def __init__(self, inputs: int, width: int, layers: int, heads: int, length: int) -> None:
        super().__init__()
        self.features = width
        self.enter = nn.Linear(inputs, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def start(self, x: Tensor) -> Cache:
        """The empty cache."""
        return Cache(0, [None] * len(self.blocks))

    def step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        """(B, E) -> features (B, width) and the longer cache."""
        h = self.enter(x)[:, None] + self.place[state.seen]
        kept: list[Past | None] = []
        for block, past in zip(self.blocks, state.past, strict=True):
            h, past = block(h, None, past)
            kept.append(past)
        return self.norm(h)[:, 0], Cache(state.seen + 1, kept)

    def unroll(self, x: Tensor) -> Tensor:
        """All positions at once: (B, T, E) -> (B, T, width)."""
        h = self.enter(x) + self.place[: x.shape[1]]
        mask = causal_mask(x.shape[1], h)
        for block in self.blocks:
            h, _ = block(h, mask)
        return self.norm(h)
