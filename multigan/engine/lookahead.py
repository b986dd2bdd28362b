"""Lookahead: both players come back part of the way, so that they do not circle each other.

Each step of a game drives the two networks around their equilibrium as well as towards it. The mean
of where they started and where a few steps took them lies further in.
Source: Chavdarova et al. 2021 (Lookahead-Minimax), arXiv:2006.14567, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Lookahead:
    """Slow weights of some networks: every so many steps they move to the fast ones, by a share.

    The fast weights then go on from there. With every 0 nothing is kept and nothing done.
    Optimisers keep their moments, buffers are left alone.
    """

    def __init__(self, networks: Sequence[nn.Module], every: int, share: float) -> None:
        self.networks, self.every, self.share = networks, every, share
        self._slow: list[Tensor] = []

    def begin(self) -> None:
        """Start from the weights as they are."""
        if self.every:
            self._slow = [parameter.detach().clone() for parameter in self._fast()]

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Come back if this is a step to do it after."""
        if self.every and steps_done % self.every == 0:
            fast = self._fast()
            torch._foreach_lerp_(self._slow, fast, self.share)
            torch._foreach_copy_(fast, self._slow)

    def _fast(self) -> list[Tensor]:
        return [parameter for network in self.networks for parameter in network.parameters()]

    def state(self) -> list[Tensor]:
        """The slow weights."""
        return self._slow

    def restore(self, state: Any) -> None:
        """Go on from slow weights of the same networks."""
        self._slow = [
            slow.to(parameter) for slow, parameter in zip(state, self._fast(), strict=bool(state))
        ]
