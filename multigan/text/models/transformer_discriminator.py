"""The transformer discriminator of text: it judges every position, or the line as a whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.text.condition import TextCondition
from multigan.text.models.soft_embedding import SoftEmbedding, non_padding_mask
from multigan.text.models.transformer import Block, causal_mask, scaled_embedding

LEVELS = ("position", "sentence")


@component
class TextTransformer(nn.Module):
    """Lines (B, T, V), and their classes, -> logits.

    "position": (B, T), each of the line as far as that token (attention looks back only), with
    weights (B, T) that are 0 at padding. "sentence": (B,), attention looks both ways.

    Args:
        vocabulary: V, specials included.
        length: T, at most.
        labels: classes; 0 for none.
        judges: position or sentence.
        width: of the transformer.
        layers: of the transformer.
        heads: of its attention.
        dropout: share of each layer's answers that is dropped in train().
        fixed_length: lines have no padding.

    Raises ValueError for another thing to judge, or heads that do not divide the width.
    """

    uses_batch_statistics = False

    def __init__(
        self,
        vocabulary: int,
        length: int,
        labels: int = 0,
        judges: str = "position",
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.1,
        fixed_length: bool = False,
    ) -> None:
        super().__init__()
        if judges not in LEVELS:
            raise ValueError(f"no discriminator judges {judges!r}; known: {', '.join(LEVELS)}")
        self.by_position = judges == "position"
        self.entry = SoftEmbedding(vocabulary, width, fixed_length)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, 1)
        self.label = scaled_embedding(labels, width) if labels else None

    def forward(
        self, x: Tensor, condition: TextCondition | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """(B, T, V) -> logits (B, T) and weights (B, T), or logits (B,)."""
        return self.score(self.embed(x), condition)

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, V) -> (B, T, width + 1), linear."""
        return self.entry(x)

    def squared_input_norm(self, slope: Tensor) -> Tensor:
        """|slope at x|^2 (B,) from the slope at `embed(x)`."""
        return self.entry.squared_input_norm(slope)

    def score(
        self, e: Tensor, condition: TextCondition | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """What `embed` gave -> logits (B, T) and weights (B, T), or logits (B,)."""
        living = non_padding_mask(e)
        h = e[..., :-1] + self.place[: e.shape[1]]
        mask = (
            causal_mask(e.shape[1], h) if self.by_position else -1e9 * (1 - living)[:, None, None]
        )
        for block in self.blocks:
            h, _ = block(h, mask)
        h = self.norm(h)
        if self.by_position:
            return self._judge(h, condition), living
        total = living.sum(1, keepdim=True).clamp(min=1)
        return self._judge((h * living[..., None]).sum(1) / total, condition)

    def _judge(self, h: Tensor, condition: TextCondition | None) -> Tensor:
        """Features (B, ..., width) -> logits (B, ...)."""
        logits = in_float32(self.last, h).squeeze(-1)
        if self.label is None or condition is None:
            return logits
        label = self.label(condition.label)  # (B, width)
        return logits + (h * (label if h.dim() == 2 else label[:, None])).sum(-1)
