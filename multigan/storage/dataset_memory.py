"""The memory of datasets: kept in memory, or read from a file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MAX_IN_MEMORY_BYTES = 1 << 30  # a larger dataset is read from its file
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
