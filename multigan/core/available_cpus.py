"""The CPUs that this process may use."""

from __future__ import annotations

import os


def available_cpus() -> int:
    """Count them: those of the machine, or fewer if the process is bound to some of them."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
