"""Discounted returns with a leave-one-out baseline (REINFORCE).

B lines, T positions. `free` (B, T) is True where the generator chose a token. `total` sums over the
rows of the whole batch, which may lie on several processes.
Source: Williams 1992 (REINFORCE); Kool et al. 2019 for the leave-one-out baseline.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Total = Callable[[Tensor], Tensor]  # (B, ...) -> (...)


def discounted_returns(costs: Tensor, discount: float) -> Tensor:
    """C_t = sum over s >= t of discount^(s - t) c_s: (B, T) -> (B, T)."""
    total = torch.zeros_like(costs[:, 0])
    returns = []
    for cost in costs.flip(1).unbind(1):
        total = cost + discount * total
        returns.append(total)
    return torch.stack(returns[::-1], dim=1)


def sum_of_rows(values: Tensor) -> Tensor:
    """Sum over a batch that is on one process: (B, ...) -> (...)."""
    return values.sum(0)


def token_advantages(
    costs: Tensor, free: Tensor, discount: float, total: Total = sum_of_rows
) -> Tensor:
    """Advantages (B, T) from the cost (B, T) of each token: C_t minus the mean C_t of other lines.

    They are 0 where nothing is free. A line alone at a position has a baseline of 0. The baseline
    does not depend on the line itself, so the gradient stays unbiased.
    """
    return _subtract_mean_of_others(discounted_returns(costs, discount), free, total)


def sequence_advantages(costs: Tensor, free: Tensor, total: Total = sum_of_rows) -> Tensor:
    """Advantages (B, T) from the cost (B,) of each line: equal for all its tokens."""
    return _subtract_mean_of_others(costs[:, None].expand(free.shape), free, total)


def _subtract_mean_of_others(returns: Tensor, free: Tensor, total: Total) -> Tensor:
    """Returns (B, T) minus their mean over the other lines that are free at the position."""
    returns = returns * free
    others = total(free) - 1  # at a free position of a line
    baseline = (total(returns) - returns) / others.clamp(min=1)
    return (returns - baseline) * free
