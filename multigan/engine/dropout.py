"""The one stream that is not a function of the step: nn.Dropout draws from torch's global one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from multigan.engine.processes import ALONE, Processes


def dropout_state(device: torch.device, processes: Processes = ALONE) -> dict[str, Any]:
    """Where the global streams of each process stand: those of the CPU (processes, bytes), and
    those of the CUDA devices, if they are used, as a list."""
    cuda = device.type == "cuda"
    gpu = processes.gather(torch.cuda.get_rng_state(device)[None]) if cuda else torch.empty(0)
    return {"torch_rng": processes.gather(torch.get_rng_state()[None]), "cuda_rng": list(gpu)}


def restore_dropout(
    state: Mapping[str, Any], device: torch.device, processes: Processes = ALONE
) -> None:
    """Put this process's global streams back to where `dropout_state` found them.

    A process that there was not then leaves its streams as they are: at their start.
    """
    streams = torch.atleast_2d(state["torch_rng"])
    if processes.rank < len(streams):
        torch.set_rng_state(streams[processes.rank].clone())  # torch crashes at a view
    if processes.rank < len(state["cuda_rng"]) and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"][processes.rank].clone(), device)
