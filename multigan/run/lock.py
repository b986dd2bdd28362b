"""One process at a time trains in a run directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A block in which no other process can lock `folder`, which is made if need be.

    The lock is the operating system's, on a file that names the process: it ends with the process,
    however that dies, so none is ever stale. Raises ValueError, in one line, where another process
    has it. Where there are no such locks (Windows) nothing is locked.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW  # a link's target is not ours
    with os.fdopen(os.open(folder / LOCK, flags, 0o666), "a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ValueError(
                f"{folder} is being trained by another process (number {owner}); wait for it, or "
                "choose another --out"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
