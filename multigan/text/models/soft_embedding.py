"""How a discriminator takes in tokens: a linear map of one-hot or relaxed rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.text.models.transformer import scaled_embedding
from multigan.text.tokenization.tokenizer import PAD


class SoftEmbedding(nn.Module):
    """(B, T, V) -> (B, T, width + 1): each row times the table, and how much of it is padding.

    The last column is 0 for lines of a fixed length, which have no padding. All of it is linear in
    the input, so a slope there is known from the slope here without a tensor V wide.
    """

    def __init__(self, vocabulary: int, width: int, fixed_length: bool = False) -> None:
        super().__init__()
        self.fixed_length = fixed_length
        self.table = scaled_embedding(vocabulary, width)

    def forward(self, x: Tensor) -> Tensor:
        """One-hot or relaxed rows (B, T, V) -> (B, T, width + 1)."""
        e = one_hot_matmul(x, self.table.weight)
        padding = torch.zeros_like(e[..., :1]) if self.fixed_length else x[..., PAD, None].to(e)
        return torch.cat([e, padding], dim=-1)

    def squared_input_norm(self, slope: Tensor) -> Tensor:
        """|slope at x|^2 (B,) from the slope (B, T, width + 1) at what `forward` gave.

        With W (V, width + 1) the whole map it is the sum over t of g_t W^T W g_t^T.
        """
        weight = self.table.weight
        column = torch.zeros_like(weight[:, :1])
        if not self.fixed_length:
            column[PAD] = 1.0
        whole = torch.cat([weight, column], dim=1)
        gram = whole.T @ whole  # (width + 1, width + 1)
        return ((slope @ gram) * slope).flatten(1).sum(1)


def non_padding_mask(entry: Tensor) -> Tensor:
    """(B, T): 1 at tokens, 0 at padding, from what TokenEntry gave; without a graph."""
    return 1 - entry[..., -1].detach()


def one_hot_matmul(x: Tensor, table: Tensor) -> Tensor:
    """x (..., V), rows of probabilities, times table (V, E); one-hot rows are gathered.

    A product with a one-hot row adds zeros to one row of the table: a gather gives the same numbers
    and the same gradient of the table, without V products. It is done where it saves time: on CPUs,
    where no gradient of x is wanted. What is one-hot to the last bit of its type counts as one-hot.
    """
    if x.requires_grad or x.device.type != "cpu":
        return x @ table
    rows = x.flatten(0, -2)
    places = torch.arange(rows.shape[1], dtype=rows.dtype)
    tokens = (rows @ places).round().long().clamp(0, rows.shape[1] - 1)  # the mean place
    is_hard = (rows.gather(1, tokens[:, None]).squeeze(1) == 1) & (rows.sum(1) == 1)
    if not is_hard.any():
        return x @ table
    e = table[tokens]
    if not is_hard.all():
        relaxed = (~is_hard).nonzero().squeeze(1)
        e = e.index_copy(0, relaxed, rows[relaxed] @ table)
    return e.unflatten(0, x.shape[:-1])
