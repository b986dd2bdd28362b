"""The moving average of the generator: what is sampled, never what is trained."""

from __future__ import annotations

import copy

import torch
from torch import nn

RAMP_UP = 0.05  # the half-life never exceeds this share of the samples seen (StyleGAN2-ADA)


class Ema:
    """A copy of `module` whose parameters follow it with a half-life counted in samples."""

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self._source = module

    @torch.no_grad()
    def update(self, samples: int, samples_seen: int, halflife_samples: float) -> None:
        """Move by `samples` new ones; buffers are copied, integers never averaged.

        decay = 0.5^(samples / half-life); a half-life of 0 copies the weights.
        """
        halflife = min(halflife_samples, RAMP_UP * samples_seen)
        decay = 0.5 ** (samples / halflife) if halflife > 0 else 0.0
        averages: list[torch.Tensor] = list(self.module.parameters())
        sources: list[torch.Tensor] = list(self._source.parameters())
        if averages:
            torch._foreach_lerp_(averages, sources, 1.0 - decay)
        for average, source in zip(self.module.buffers(), self._source.buffers(), strict=True):
            average.copy_(source)
