"""Batch norm over the rows of all processes, independent of their number."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from multigan.engine.distributed import DistributedContext


def sync_batch_norm(network: nn.Module, processes: DistributedContext) -> None:
    """Make every batch norm of a network use the statistics of all processes in training.

    Parameters, buffers and their names are unchanged; running statistics are the same in every
    process. A single process is left unchanged.
    """
    if processes.world_size == 1:
        return
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(_forward, module, processes)  # type: ignore[method-assign]


def _forward(norm: Any, processes: DistributedContext, x: Tensor) -> Tensor:
    """(B, C, ...) -> (B, C, ...), as nn.BatchNorm does with the rows of all processes."""
    if (
        not norm.training
    ):  # in eval mode the processes have rows of their own, and not equally often
        plain: Tensor = type(norm).forward(norm, x)
        return plain
    norm._check_input_dim(x)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.dim())]
    mean = processes.differentiable_mean(wide.mean(axes))  # (C,)
    centered = wide - mean.view(shape)
    variance = processes.differentiable_mean(centered.square().mean(axes))  # (C,)
    if norm.running_mean is not None:
        rows = processes.world_size * x.numel() / x.shape[1]
        _update_running_statistics(norm, mean.detach(), variance.detach() * rows / (rows - 1))
    scaled: Tensor = centered * (variance + norm.eps).rsqrt().view(shape)
    if norm.affine:
        scaled = scaled * norm.weight.view(shape) + norm.bias.view(shape)
    return scaled.to(x.dtype)


def _update_running_statistics(norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics; without a momentum they are means over all batches."""
    norm.num_batches_tracked += 1
    weight = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), weight)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), weight)
