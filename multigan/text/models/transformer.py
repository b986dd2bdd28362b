"""Causal transformer layers with a key-value cache."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

Past = tuple[Tensor, Tensor]  # keys and values (B, heads, S, K) of the positions so far


class Attention(nn.Module):
    """Multi-head attention over one sequence, by matrix products: twice differentiable.

    Raises ValueError unless `heads` divides `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads; got {width} and {heads}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.output_projection = nn.Linear(width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None, past: Past | None = None
    ) -> tuple[Tensor, Past]:
        """(B, T, width) -> the same shape, and the keys and values of all positions so far.

        `mask` (..., T, S) is 0 where a position may attend and very negative elsewhere.
        """
        q, k, v = (self._split_heads(projection) for projection in self.qkv(x).chunk(3, dim=-1))
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (B, heads, T, S)
        weights = (scores if mask is None else scores + mask).softmax(-1)
        return self.output_projection((weights @ v).transpose(1, 2).flatten(2)), (k, v)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, K)


class Block(nn.Module):
    """A pre-norm transformer block: attention, then an MLP of four times the width."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in, self.mlp_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, past: Past | None = None
    ) -> tuple[Tensor, Past]:
        """(B, T, width) -> the same shape, and the keys and values of all positions so far."""
        attended, past = self.attention(self.attention_norm(x), mask, past)
        x = x + self.dropout(attended)
        return x + self.dropout(self.mlp_out(gelu(self.mlp_in(self.mlp_norm(x))))), past


def causal_mask(length: int, like: Tensor) -> Tensor:
    """(T, T): 0 where a position may attend (itself and before), very negative elsewhere."""
    mask = torch.full((length, length), -1e9, device=like.device, dtype=like.dtype)
    return mask.triu(1)


def scaled_embedding(count: int, width: int) -> nn.Embedding:
    """An embedding whose rows have a squared norm of 1 on average."""
    table = nn.Embedding(count, width)
    nn.init.normal_(table.weight, std=width**-0.5)
    return table


class Cache(NamedTuple):
    """The number of positions so far, and the keys and values of each block."""

    length: int
    past: list[Past | None]


class CausalTransformer(nn.Module):
    """A causal transformer: inputs (B, T, E) -> features (B, T, width), T at most `length`."""

    is_parallel = True

    def __init__(self, inputs: int, width: int, layers: int, heads: int, length: int) -> None:
        super().__init__()
        self.output_dim = width
        self.input_projection = nn.Linear(inputs, width)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def initial_state(self, x: Tensor) -> Cache:
        """The empty cache."""
        return Cache(0, [None] * len(self.blocks))

    def step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        """(B, E) -> features (B, width) and the longer cache."""
        h = self.input_projection(x)[:, None] + self.position_embedding[state.length]
        cache: list[Past | None] = []
        for block, past in zip(self.blocks, state.past, strict=True):
            h, past = block(h, None, past)
            cache.append(past)
        return self.norm(h)[:, 0], Cache(state.length + 1, cache)

    def forward_sequence(self, x: Tensor) -> Tensor:
        """All positions in one pass: (B, T, E) -> (B, T, width)."""
        h = self.input_projection(x) + self.position_embedding[: x.shape[1]]
        mask = causal_mask(x.shape[1], h)
        for block in self.blocks:
            h, _ = block(h, mask)
        return self.norm(h)
