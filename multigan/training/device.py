"""Where a run computes: the device that is asked for, and which of several a process takes."""

from __future__ import annotations

import torch

from multigan.engine.distributed import DistributedContext


def pick_device(name: str) -> str:
    """The device called `name`; "auto" takes the best at hand. ValueError if it is not there."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, is_there in present.items() if is_there)
    if name not in present:
        raise ValueError(f"device {name!r} is unknown; known: auto, {', '.join(present)}")
    if not present[name]:
        raise ValueError(f"device {name!r} is not available on this machine; try --device auto")
    return name


def device_of_process(device: str, processes: DistributedContext) -> str:
    """Where one of several processes works: each has a GPU of its machine to itself.

    Raises ValueError where there are fewer of them than processes.
    """
    if processes.world_size == 1 or device == "cpu":
        return device
    there = torch.cuda.device_count() if device == "cuda" else 1
    if processes.local_rank >= there:
        raise ValueError(
            f"process {processes.local_rank} of this machine finds {there} devices of the kind "
            f"{device!r}; wanted one for each: start fewer processes, or try --device cpu"
        )
    if device == "cuda":
        torch.cuda.set_device(processes.local_rank)
        return f"cuda:{processes.local_rank}"
    raise ValueError(f"device {device!r} is for one process; try --device cpu")
