"""Token embedding of a discriminator: a linear map of tokens, one-hot or relaxed rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.text.models.transformer import scaled_embedding
from multigan.text.tokenization.tokenizer import SPECIAL_IDS


class SoftEmbedding(nn.Module):
    """(B, T, V) -> (B, T, width + 1): each row times the table, and its probability of padding.

    The last column is 0 for lines of a fixed length, which have no padding. The map is linear, so
    the norm of the gradient at the input follows from the gradient here, without a tensor V wide.
    """

    def __init__(self, vocabulary_size: int, width: int, fixed_length: bool = False) -> None:
        super().__init__()
        self.fixed_length = fixed_length
        self.table = scaled_embedding(vocabulary_size, width)

    def forward(self, x: Tensor) -> Tensor:
        """One-hot or relaxed rows (B, T, V), or tokens (B, T) int64 -> (B, T, width + 1)."""
        if x.is_floating_point():
            e = one_hot_matmul(x, self.table.weight)
            padding = x[..., SPECIAL_IDS.pad, None].to(e)
        else:
            e = self.table.weight[x]
            padding = (x == SPECIAL_IDS.pad)[..., None].to(e)
        if self.fixed_length:
            padding = torch.zeros_like(padding)
        return torch.cat([e, padding], dim=-1)

    def squared_input_norm(self, grad_e: Tensor) -> Tensor:
        """|gradient at x|^2 (B,) from the gradient (B, T, width + 1) at the embedding.

        With W (V, width + 1) the whole map it is the sum over t of g_t W^T W g_t^T.
        """
        weight = self.table.weight
        column = torch.zeros_like(weight[:, :1])
        if not self.fixed_length:
            column[SPECIAL_IDS.pad] = 1.0
        w = torch.cat([weight, column], dim=1)
        gram = w.T @ w  # (width + 1, width + 1)
        return ((grad_e @ gram) * grad_e).flatten(1).sum(1)


def non_padding_mask(e: Tensor) -> Tensor:
    """(B, T): 1 at tokens, 0 at padding, from the output of SoftEmbedding; without a graph."""
    return 1 - e[..., -1].detach()


def one_hot_matmul(x: Tensor, table: Tensor) -> Tensor:
    """x (..., V), rows of probabilities, times table (V, E); one-hot rows are gathered.

    A product with a one-hot row adds zeros to one row of the table. A gather gives the same values
    and the same gradient of the table without V products. It is used where it saves time: on CPUs,
    where x needs no gradient. Rows count as one-hot if they are so to the last bit of their type.
    """
    if x.requires_grad or x.device.type != "cpu":
        return x @ table
    rows = x.flatten(0, -2)
    indices = torch.arange(rows.shape[1], dtype=rows.dtype)
    tokens = (rows @ indices).round().long().clamp(0, rows.shape[1] - 1)  # the mean index
    is_one_hot = (rows.gather(1, tokens[:, None]).squeeze(1) == 1) & (rows.sum(1) == 1)
    if not is_one_hot.any():
        return x @ table
    e = table[tokens]
    if not is_one_hot.all():
        relaxed = (~is_one_hot).nonzero().squeeze(1)
        e = e.index_copy(0, relaxed, rows[relaxed] @ table)
    return e.unflatten(0, x.shape[:-1])
