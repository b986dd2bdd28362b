"""Helpers for modules: device, float32 output layers, evaluation mode, one batch of samples."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from multigan.core.protocols import Condition, Generator
from multigan.core.trees import tree_map

M = TypeVar("M", bound=nn.Module)


def sample_batch(
    generator: Generator, n: int, rng: torch.Generator, condition: Condition = None
) -> Tensor:
    """Sample `n` raw samples (n, ...) in eval mode, without a graph, in one pass; on the CPU."""
    device = device_of(generator)
    latent = tree_map(lambda leaf: leaf.to(device), generator.sample_latent(n, rng))
    condition = tree_map(lambda leaf: leaf.to(device), condition)
    with eval_mode(generator), torch.no_grad():
        return generator(latent, condition).cpu()


def copy_module(module: M) -> M:
    """A deep copy of a module, without the graphs of tensors that it keeps from its last pass.

    Old spectral norm keeps its normalized weight, which copy.deepcopy refuses.
    """
    kept = [value for part in module.modules() for value in vars(part).values()]
    graphs = {id(t): t.detach() for t in kept if isinstance(t, Tensor) and not t.is_leaf}
    with torch.no_grad():  # TorchScript clones its parameters
        return copy.deepcopy(module, graphs)


def device_of(module: Any) -> torch.device:
    """The device of a module's first parameter; the CPU for one without any."""
    first = next(iter(module.parameters()), None)
    return torch.device("cpu") if first is None else first.device


def in_float32(last: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    """`last(h)` computed in float32 or wider, also under autocast."""
    wide, device = h.to(torch.promote_types(h.dtype, torch.float32)), h.device.type
    if not torch.amp.is_autocast_available(device):
        return last(wide)
    with torch.autocast(device, enabled=False):
        return last(wide)


class eval_mode:
    """Context manager: modules in eval mode; their own modes are restored afterwards."""

    def __init__(self, *modules: Any) -> None:
        self.modules = modules

    def __enter__(self) -> None:
        self.modes = [(m, m.training) for module in self.modules for m in module.modules()]
        for module in self.modules:
            module.eval()

    def __exit__(self, *_: object) -> None:
        for module, mode in self.modes:
            module.training = mode
