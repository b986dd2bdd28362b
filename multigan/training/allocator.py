"""Settings of glibc's allocator that keep the memory of one training step for the next.

By default glibc maps large blocks one by one and returns them to the system when they are freed, so
each step pays for the page faults of the same memory again. Here all blocks of the main thread lie
in the heap. The cost is that a process keeps up to TRIM_THRESHOLD bytes that it does not use, and
the gaps between blocks of different sizes.
"""

from __future__ import annotations

import ctypes
import os
import sys

SWITCH = "MULTIGAN_ALLOCATOR"  # environment variable; "default" leaves the allocator alone
DEFAULT = "default"
OWN_SETTINGS = (
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
)
MIB = 2**20
# Names and numbers of glibc's malloc.h; the values are measured (docs/benchmarks/speed.md).
SETTINGS = {
    "M_MMAP_MAX": (-4, 0),  # blocks that may be mapped one by one, each time with new page faults
    "M_TRIM_THRESHOLD": (-1, 1024 * MIB),  # unused bytes at the end of the heap that are kept
    "M_TOP_PAD": (-2, 64 * MIB),  # bytes by which the heap grows beyond a request
}


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory; return True if the settings were made.

    They are for Linux with glibc. They are not made where the user has chosen other ones: by
    SWITCH, by glibc's own environment variables, or by its tunables.
    """
    environment = os.environ
    chosen = any(name in environment for name in OWN_SETTINGS)
    chosen = chosen or "glibc.malloc" in environment.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or chosen or environment.get(SWITCH) == DEFAULT:
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return all([libc.mallopt(number, value) == 1 for number, value in SETTINGS.values()])
