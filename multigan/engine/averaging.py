"""Weight averaging: exponential moving average and lookahead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from multigan.core.modules import copy_module
from multigan.core.protocols import Condition, Latent

RAMPUP_RATIO = 0.05  # half-life, at most, over the samples seen (StyleGAN2-ADA)


class EMA:
    """Exponential moving average of a module's parameters, with a half-life counted in samples."""

    def __init__(self, module: nn.Module) -> None:
        self.module = copy_module(module).requires_grad_(False).eval()
        self._source = module

    @torch.no_grad()
    def update(self, samples: int, samples_seen: int, halflife_samples: float) -> None:
        """Update after `samples` new samples; buffers are copied, see `update_statistics`.

        decay = 0.5^(samples / half-life); a half-life of 0 copies the weights.
        """
        halflife = min(halflife_samples, RAMPUP_RATIO * samples_seen)
        decay = 0.5 ** (samples / halflife) if halflife > 0 else 0.0
        averages, sources, buffers = self._tensors
        if averages:
            torch._foreach_lerp_(averages, sources, 1.0 - decay)
        for average, source in buffers:
            average.copy_(source)

    @property
    def needs_statistics(self) -> bool:
        """True where the module has batch norm with running statistics."""
        return bool(self._batch_norms)

    @torch.no_grad()
    def update_statistics(self, batches: Iterable[tuple[Latent, Condition]]) -> None:
        """Compute the running statistics of batch norm for the averaged weights.

        The copied ones are those of the last few batches under other weights. They become the
        means over `batches` of latents and conditions; all other layers stay in evaluation mode.

        Source: Wu and Johnson 2021 (Rethinking "batch" in batch norm), section 3.
        """
        momenta = [norm.momentum for norm in self._batch_norms]
        for norm in self._batch_norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        try:
            for latent, condition in batches:
                self.module(latent, condition)
        finally:
            for norm, momentum in zip(self._batch_norms, momenta, strict=True):
                norm.momentum = momentum
                norm.eval()

    @cached_property
    def _batch_norms(self) -> list[_BatchNorm]:
        modules = self.module.modules()
        return [m for m in modules if isinstance(m, _BatchNorm) and m.running_mean is not None]

    @cached_property
    def _tensors(self) -> tuple[list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]]:
        """Parameters of both networks, and pairs of their buffers; found once, as that is slow."""
        buffers = zip(self.module.buffers(), self._source.buffers(), strict=True)
        return list(self.module.parameters()), list(self._source.parameters()), list(buffers)


class Lookahead:
    """Slow weights of some networks; the fast weights return to them every `interval` steps.

    Every `interval` steps the slow weights move by `alpha` of the way to the fast ones. Optimizers
    keep their moments; buffers are unchanged. An interval of 0 turns it off.

    Source: Zhang et al. 2019; for adversarial training Chavdarova et al. 2021.
    """

    def __init__(self, networks: Sequence[nn.Module], interval: int, alpha: float) -> None:
        self.networks, self.interval, self.alpha = networks, interval, alpha
        self._slow: list[Tensor] = []

    def begin(self) -> None:
        """Copy the current weights as the slow ones."""
        if self.interval:
            self._slow = [parameter.detach().clone() for parameter in self._fast()]

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Move both sets of weights if `steps_done` is a multiple of the interval."""
        if self.interval and steps_done % self.interval == 0:
            fast = self._fast()
            torch._foreach_lerp_(self._slow, fast, self.alpha)
            torch._foreach_copy_(fast, self._slow)

    def _fast(self) -> list[Tensor]:
        return [parameter for network in self.networks for parameter in network.parameters()]

    def state(self) -> list[Tensor]:
        """Return the slow weights."""
        return self._slow

    def restore(self, state: Any) -> None:
        """Continue from the slow weights of the same networks."""
        self._slow = [
            slow.to(parameter) for slow, parameter in zip(state, self._fast(), strict=bool(state))
        ]
