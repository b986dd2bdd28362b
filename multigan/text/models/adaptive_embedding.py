"""One table of token vectors, wide for frequent tokens and narrow for the others, in and out.

The softmax has two levels: over the frequent tokens and one entry for all others, then over these.
The likelihood of a frequent token needs the first level alone.
Source: Grave et al. 2017 (adaptive softmax); Baevski and Auli 2019 (adaptive inputs).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear

from multigan.text.models.token_sampling import sample_tokens
from multigan.text.tokenization.tokenizer import SPECIAL_IDS


class AdaptiveEmbedding(nn.Module):
    """Tokens -> vectors (..., width), and vectors -> logits of the next token (..., V).

    Ids are in order of frequency: the first `head_size` have vectors of `width`, the others of
    `tail_width`, which linear maps carry to `width` and back. Input and output share the vectors.

    Raises ValueError unless 4 <= head_size < vocabulary_size: the specials are frequent tokens.
    """

    def __init__(self, vocabulary_size: int, width: int, head_size: int, tail_width: int) -> None:
        super().__init__()
        smallest = len(SPECIAL_IDS)
        if not smallest <= head_size < vocabulary_size:
            raise ValueError(
                f"head_size must be {smallest} or more and below the vocabulary size, "
                f"{vocabulary_size}; got {head_size}"
            )
        self.head_size = head_size
        self.weight = nn.Parameter(torch.randn(head_size, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(head_size + 1))
        self.tail_entry = nn.Parameter(torch.randn(1, width) * width**-0.5)
        tail = torch.randn(vocabulary_size - head_size, tail_width) * tail_width**-0.5
        self.tail, self.tail_bias = nn.Parameter(tail), nn.Parameter(torch.zeros(len(tail)))
        self.from_tail = nn.Linear(tail_width, width, bias=False)
        self.to_tail = nn.Linear(width, tail_width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors (..., width) of tokens (...)."""
        vectors = embedding(tokens.clamp_max(self.head_size - 1), self.weight)
        is_rare = tokens >= self.head_size
        if not is_rare.any():
            return vectors
        rare = self.from_tail(embedding(tokens[is_rare] - self.head_size, self.tail))
        return vectors.index_put((is_rare,), rare.to(vectors.dtype))

    def logits(self, h: Tensor) -> Tensor:
        """Normalized logits (..., V) of vectors (..., width)."""
        head = self._head(h).log_softmax(-1)
        tail = self._tail(h).log_softmax(-1) + head[..., -1:]
        return torch.cat([head[..., :-1], tail], dim=-1)

    def log_probability(self, h: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Log-probabilities (N,) of tokens (N,) under vectors (N, width).

        `mask` (V,) is added to the logits; it must be 0 beyond the frequent tokens.
        """
        head = self._head(h)
        head = head + torch.cat([mask[: self.head_size], mask.new_zeros(1)]).to(head.dtype)
        log_p = -cross_entropy(head, tokens.clamp_max(self.head_size), reduction="none")
        is_rare = tokens >= self.head_size
        if not is_rare.any():
            return log_p
        rare = self._tail(h[is_rare])
        found = -cross_entropy(rare, tokens[is_rare] - self.head_size, reduction="none")
        return log_p.index_put((is_rare,), found, accumulate=True)

    def sample(self, h: Tensor, mask: Tensor, uniform: Tensor) -> Tensor:
        """Sample tokens (N,) at the quantiles (N,), as from `logits` plus the mask.

        The second level is computed for the lines that need it.
        """
        head = self._head(h)
        head = head + torch.cat([mask[: self.head_size], mask.new_zeros(1)]).to(head.dtype)
        shares = head.softmax(-1)
        tokens = sample_tokens(head, uniform)
        is_rare = tokens == self.head_size
        if is_rare.any():
            share = shares[is_rare, -1]
            inside = (uniform[is_rare].to(share) - (1 - share)) / share.clamp_min(1e-30)
            rare = sample_tokens(self._tail(h[is_rare]), inside.clamp(0, 1 - 2**-24))
            tokens[is_rare] = self.head_size + rare
        return tokens

    def _head(self, h: Tensor) -> Tensor:
        return _in_float32(linear(h, torch.cat([self.weight, self.tail_entry]), self.bias))

    def _tail(self, h: Tensor) -> Tensor:
        return _in_float32(linear(self.to_tail(h), self.tail, self.tail_bias))


def _in_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
