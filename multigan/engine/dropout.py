"""The one stream that is not a function of the step: nn.Dropout draws from torch's global one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def dropout_state(device: torch.device) -> dict[str, Any]:
    """Where the global streams stand: that of the CPU, and of every CUDA device if one is used."""
    cuda = torch.cuda.get_rng_state_all() if device.type == "cuda" else []
    return {"torch_rng": torch.get_rng_state(), "cuda_rng": cuda}


def restore_dropout(state: Mapping[str, Any]) -> None:
    """Put the global streams back to where `dropout_state` found them."""
    torch.set_rng_state(state["torch_rng"])
    if state["cuda_rng"]:
        torch.cuda.set_rng_state_all(state["cuda_rng"])
