"""Averages of weights: exponential moving average and lookahead."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

RAMPUP_RATIO = 0.05  # the half-life never exceeds this share of the samples seen (StyleGAN2-ADA)


class EMA:
    """A copy of `module` whose parameters follow it with a half-life counted in samples."""

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self._source = module

    @torch.no_grad()
    def update(self, samples: int, samples_seen: int, halflife_samples: float) -> None:
        """Move by `samples` new ones; buffers are copied, integers never averaged.

        decay = 0.5^(samples / half-life); a half-life of 0 copies the weights.
        """
        halflife = min(halflife_samples, RAMPUP_RATIO * samples_seen)
        decay = 0.5 ** (samples / halflife) if halflife > 0 else 0.0
        averages: list[torch.Tensor] = list(self.module.parameters())
        sources: list[torch.Tensor] = list(self._source.parameters())
        if averages:
            torch._foreach_lerp_(averages, sources, 1.0 - decay)
        for average, source in zip(self.module.buffers(), self._source.buffers(), strict=True):
            average.copy_(source)


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
