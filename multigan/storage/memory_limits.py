"""Limits on the memory of networks, checked before they are built.

An untrusted description may ask for any amount. The network is first built on torch's device
"meta", where tensors have shapes and no memory.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from multigan.core.serialization import from_config, get_component

MAX_NETWORK_BYTES = 8_000_000_000  # of the tensors of one network without a weight file
MAX_TENSORS = 20_000  # of one network: each costs kilobytes besides its values
MAX_RATIO_TO_FILE = 8  # memory of a network by the size of its file, which may be 16-bit or tied
EXTRA_BYTES = 1_000_000_000  # added to it, for computed tables that are not stored
MAX_IN_MEMORY_BYTES = 1 << 30  # of a dataset: a larger one is read from its file
MAX_IN_MEMORY_SHARE = 0.25  # of the available memory
IN_MEMORY = ("auto", "yes", "no")


def fits_in_memory(num_bytes: int, choice: str = "auto") -> bool:
    """Return True if a dataset of `num_bytes` is to be kept in memory.

    `choice` is "yes", "no" or "auto": at most MAX_IN_MEMORY_BYTES, and at most the share
    MAX_IN_MEMORY_SHARE of the available memory. Raises ValueError for another choice.
    """
    if choice not in IN_MEMORY:
        raise ValueError(f"in_memory must be one of {', '.join(IN_MEMORY)}; got {choice!r}")
    if choice != "auto":
        return choice == "yes"
    available = available_memory()
    most = MAX_IN_MEMORY_BYTES if available is None else int(MAX_IN_MEMORY_SHARE * available)
    return num_bytes <= min(most, MAX_IN_MEMORY_BYTES)


def available_memory() -> int | None:
    """Return the bytes that this process may still use; None where the system does not say."""
    found = []
    with suppress(OSError, ValueError, LookupError):  # Linux
        lines = Path("/proc/meminfo").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)
        found.append(1024 * int(values["MemAvailable"].split()[0]))
    with suppress(OSError, ValueError):  # the limit of a container
        limit, used = (Path(f"/sys/fs/cgroup/memory.{n}").read_text() for n in ("max", "current"))
        found.append(max(0, int(limit) - int(used)))
    if not found:
        with suppress(OSError, ValueError, AttributeError):  # other systems: half of all memory
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return min(found, default=None)


def memory_budget(stored_bytes: int) -> int:
    """The memory limit, in bytes, of a network whose weights take `stored_bytes` in a file."""
    return MAX_RATIO_TO_FILE * stored_bytes + EXTRA_BYTES


def check_model_memory(description: Any, max_bytes: int = MAX_NETWORK_BYTES) -> None:
    """Raise ValueError if a network anywhere in a description takes more than `max_bytes`.

    Networks of a trusted recipe file are not checked: their code is executed anyway.
    """
    if isinstance(description, list):
        for item in description:
            check_model_memory(item, max_bytes)
    elif isinstance(description, dict):
        name = description.get("component")
        if name is not None and _is_network(name):
            build_on_meta(description, max_bytes)
        else:
            check_model_memory(list(description.values()), max_bytes)


def _is_network(name: Any) -> bool:
    """Check that a component of an installed domain is a network."""
    try:
        cls = get_component(name)
    except ValueError:
        return False  # of a trusted file, or an error that `from_config` reports
    return isinstance(cls, type) and issubclass(cls, torch.nn.Module)


def build_on_meta(description: Any, max_bytes: int = MAX_NETWORK_BYTES) -> Any:
    """`from_config(description)` on the device "meta": shapes without memory.

    None for a constructor that does not work there. Raises ValueError for more than `max_bytes`
    or MAX_TENSORS, before memory is allocated.
    """
    count = _TensorCount(max_bytes)
    try:
        with warnings.catch_warnings(), torch.device("meta"), count:
            warnings.simplefilter("ignore")  # `from_config` repeats it later
            found = from_config(description)
    except Exception:  # constructors raise arbitrary exceptions on meta
        found = None
    if count.exceeded:
        size = f"{count.bytes:,} bytes or more in {count.tensors:,} tensors or more"
        limit = f"{max_bytes:,} bytes in {MAX_TENSORS:,} tensors"
        raise ValueError(f"a described network must take at most {limit}; got {size}")
    return found


class _TensorCount(TorchDispatchMode):
    """Context manager that adds up the bytes of new tensors; MemoryError beyond the limits."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.max_bytes, self.exceeded = max_bytes, False
        self.bytes = self.tensors = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and skipping imports the compiler (1 s)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable:  # nothing to fill, and torch would import much of itself
            return args[0]
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and func._schema.returns[0].alias_info is None:  # a new one
            self._add(found.numel() * found.element_size())
        return found

    def _add(self, size_bytes: int) -> None:
        self.bytes, self.tensors = self.bytes + size_bytes, self.tensors + 1
        self.exceeded = self.bytes > self.max_bytes or self.tensors > MAX_TENSORS
        if self.exceeded:
            raise MemoryError
