"""The transformer text discriminator: a logit for every token, or for the sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.text.condition import TextCondition
from multigan.text.models.soft_embedding import SoftEmbedding, non_padding_mask
from multigan.text.models.transformer import Block, causal_mask, scaled_embedding

LEVELS = ("token", "sequence")


@component
class TextTransformer(nn.Module):
    """Lines (B, T, V), and their classes, -> logits.

    "token": (B, T), each of the line up to that token (causal attention), with weights (B, T) that
    are 0 at padding. "sequence": (B,), with attention in both directions.

    Args:
        vocabulary_size: V, specials included.
        length: T, at most.
        num_classes: 0 for none.
        level: token or sequence.
        width: of the transformer.
        layers: of the transformer.
        heads: of its attention.
        dropout: rate after each attention and MLP.
        fixed_length: lines have no padding.

    Raises ValueError for another level, or unless `heads` divides `width`.
    """

    uses_batch_statistics = False

    def __init__(
        self,
        vocabulary_size: int,
        length: int,
        num_classes: int = 0,
        level: str = "token",
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.1,
        fixed_length: bool = False,
    ) -> None:
        super().__init__()
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}")
        self.per_token = level == "token"
        self.soft_embedding = SoftEmbedding(vocabulary_size, width, fixed_length)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.to_logits = nn.LayerNorm(width), nn.Linear(width, 1)
        self.label = scaled_embedding(num_classes, width) if num_classes else None

    def forward(
        self, x: Tensor, condition: TextCondition | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """(B, T, V) -> logits (B, T) and weights (B, T), or logits (B,)."""
        return self.score(self.embed(x), condition)

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, V), or tokens (B, T) -> (B, T, width + 1), linear."""
        return self.soft_embedding(x)

    @property
    def embeds_compact(self) -> bool:
        """Tokens can be embedded in place of rows; a subclass with its own `embed` gets rows."""
        return type(self).embed is TextTransformer.embed

    def squared_input_norm(self, grad_e: Tensor) -> Tensor:
        """|gradient at x|^2 (B,) from the gradient at `embed(x)`."""
        return self.soft_embedding.squared_input_norm(grad_e)

    def score(
        self, e: Tensor, condition: TextCondition | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, T) and weights (B, T), or logits (B,), of the output of `embed`."""
        valid = non_padding_mask(e)
        h = e[..., :-1] + self.position_embedding[: e.shape[1]]
        mask = causal_mask(e.shape[1], h) if self.per_token else -1e9 * (1 - valid)[:, None, None]
        for block in self.blocks:
            h, _ = block(h, mask)
        h = self.norm(h)
        if self.per_token:
            return self._logits(h, condition), valid
        total = valid.sum(1, keepdim=True).clamp(min=1)
        return self._logits((h * valid[..., None]).sum(1) / total, condition)

    def _logits(self, h: Tensor, condition: TextCondition | None) -> Tensor:
        """Features (B, ..., width) -> logits (B, ...)."""
        logits = in_float32(self.to_logits, h).squeeze(-1)
        if self.label is None or condition is None:
            return logits
        label = self.label(condition.label)  # (B, width)
        return logits + (h * (label if h.dim() == 2 else label[:, None])).sum(-1)
