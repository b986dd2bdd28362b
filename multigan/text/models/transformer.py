"""Causal transformer layers with a key-value cache."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

Past = tuple[Tensor, Tensor]  # keys and values (B, heads, S, K) of the positions so far


class Attention(nn.Module):
    """Attention of several heads over one sequence, by plain products: twice differentiable.

    Raises ValueError where the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be shared by {heads} heads")
        self.heads = heads
        self.enter = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None, past: Past | None = None
    ) -> tuple[Tensor, Past]:
        """(B, T, width) -> the same shape, and the keys and values of all positions so far.

        `mask` (..., T, S) is 0 where a position may look and very negative elsewhere.
        """
        q, k, v = (self._split(part) for part in self.enter(x).chunk(3, dim=-1))
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (B, heads, T, S)
        weights = (scores if mask is None else scores + mask).softmax(-1)
        return self.leave((weights @ v).transpose(1, 2).flatten(2)), (k, v)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, K)


class Block(nn.Module):
    """Attention, then a layer four times as wide, each normalised before and added after."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_before, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm_between = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, past: Past | None = None
    ) -> tuple[Tensor, Past]:
        """(B, T, width) -> the same shape, and what a later position needs of these."""
        seen, past = self.attention(self.norm_before(x), mask, past)
        x = x + self.dropout(seen)
        return x + self.dropout(self.narrow(gelu(self.widen(self.norm_between(x))))), past


def causal_mask(steps: int, like: Tensor) -> Tensor:
    """(T, T): 0 where a position may look (itself and before), very negative elsewhere."""
    mask = torch.full((steps, steps), -1e9, device=like.device, dtype=like.dtype)
    return mask.triu(1)


def scaled_embedding(count: int, width: int) -> nn.Embedding:
    """An embedding whose rows have a squared norm of 1 on average."""
    table = nn.Embedding(count, width)
    nn.init.normal_(table.weight, std=width**-0.5)
    return table


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
