"""Selection of the device of a run and of each of its processes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from multigan.core.available_cpus import available_cpus
from multigan.core.protocols import Dataset
from multigan.engine.distributed import DistributedContext

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # of x86, then of Arm


def pick_device(name: str) -> str:
    """Return the device `name`; "auto" is the best available. Raises ValueError if absent."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, available in present.items() if available)
    if name not in present:
        raise ValueError(f"device {name!r} is unknown; known: auto, {', '.join(present)}")
    if not present[name]:
        raise ValueError(f"device {name!r} is not available on this machine; try --device auto")
    return name


def device_of_process(device: str, processes: DistributedContext) -> str:
    """Return the device of one process: each process has a GPU of its own.

    Raises ValueError for more processes than devices.
    """
    if processes.world_size == 1 or device == "cpu":
        return device
    count = torch.cuda.device_count() if device == "cuda" else 1
    if processes.local_rank >= count:
        raise ValueError(
            f"each process needs a device; got {count} of the kind {device!r} for process "
            f"{processes.local_rank} of this machine; start fewer processes, or try --device cpu"
        )
    if device == "cuda":
        torch.cuda.set_device(processes.local_rank)
        return f"cuda:{processes.local_rank}"
    raise ValueError(f"device {device!r} is for one process; try --device cpu")


def warn_of_many_workers(data: Dataset, num_workers: int) -> None:
    """Warn of more processes that load data than CPUs."""
    if not data.in_memory and num_workers > (most := available_cpus()):
        warnings.warn(
            f"--num-workers {num_workers} is more than the CPUs that this process may use "
            f"({most}): loading may be slower than with {most}",
            stacklevel=3,
        )


def warn_of_emulated_bf16(precision: str, device: str) -> None:
    """Warn of bf16 on a processor that has no instructions for it, as far as torch can tell.

    torch can from 2.10 on; there is a warning with older ones.
    """
    if precision != "bf16" or device != "cpu":
        return
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if not any(capabilities.get(name, False) for name in BF16_INSTRUCTIONS):
        warnings.warn(
            "bf16 is many times slower than fp32 on a processor without instructions for it; "
            "try --precision fp32",
            stacklevel=3,
        )


def check_dtype() -> None:
    """Raise ValueError for a default type of torch in which networks do not fit the data."""
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"the default dtype of torch must be float32; got {torch.get_default_dtype()}: call "
            "torch.set_default_dtype(torch.float32) before the networks are built"
        )
