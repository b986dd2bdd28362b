"""What a token is to blame for: discounted costs from it on, less what others paid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def discounted_returns(costs: Tensor, discount: float) -> Tensor:
    """C_t = sum over s >= t of discount^(s - t) c_s: (B, T) -> (B, T)."""
    total = torch.zeros_like(costs[:, 0])
    found = []
    for cost in costs.flip(1).unbind(1):
        total = cost + discount * total
        found.append(total)
    return torch.stack(found[::-1], dim=1)


def sum_of_rows(values: Tensor) -> Tensor:
    """(B, ...) -> (...), of a batch that is all here."""
    return values.sum(0)


def token_advantages(
    costs: Tensor,
    free: Tensor,
    discount: float,
    total: Callable[[Tensor], Tensor] = sum_of_rows,
) -> Tensor:
    """C_t less the mean C_t of the batch's other lines (B, T); 0 where a token was not chosen.

    `free` (B, T) bool says where one was. A line alone at a position has nothing to compare with:
    its baseline is 0. The baseline knows nothing of the line itself, so it leaves the gradient
    unbiased. `total` sums over the rows of the whole batch, of which there may be more elsewhere.
    """
    return _above_others(discounted_returns(costs, discount), free, total)


def sequence_advantages(
    costs: Tensor, free: Tensor, total: Callable[[Tensor], Tensor] = sum_of_rows
) -> Tensor:
    """The same for a cost of each line as a whole (B,): all its tokens are to blame alike."""
    return _above_others(costs[:, None].expand(free.shape), free, total)


def _above_others(to_go: Tensor, free: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
    to_go = to_go * free
    others = total(free) - 1  # at a free position of a line
    baseline = (total(to_go) - to_go) / others.clamp(min=1)
    return (to_go - baseline) * free
