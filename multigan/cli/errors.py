"""Map exceptions to one-line messages and exit codes.

2: arguments, missing or unreadable input, a damaged run; 1: full disk, failed training, internal
error; 129, 130 and 143: SIGHUP, Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from typing import Any, Protocol, runtime_checkable

from multigan.core.data_counts import printable

MAX_CHARACTERS = 2000  # of a message: names in files of others may be longer
OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory", re.I)


@runtime_checkable
class UsageError(Protocol):
    """An error of the command line: click's, which typer may carry as a copy of its own."""

    def format_message(self) -> str:
        """The message without the usage line."""
        ...


@runtime_checkable
class HasExitStatus(Protocol):
    """An error with an exit status of its own: training was interrupted or failed."""

    exit_status: int


def print_warning(message: Any, *_: Any, **__: Any) -> None:
    """Print a warning in one line, in place of `warnings.showwarning`."""
    print(f"warning: {one_line(str(message))}", file=sys.stderr)


def report_error(error: Exception) -> int:
    """Print an error in one line; return the exit status."""
    text, status = _message(error)
    if os.environ.get("MULTIGAN_TRACEBACK"):
        traceback.print_exception(error)
    if text:  # empty for a command without arguments, which has printed its help
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"error: {one_line(text)}", file=sys.stderr)
    return status


def one_line(text: str) -> str:
    """Return a message on one line of bounded length, without what a terminal obeys."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]} ..."


def _message(error: Exception) -> tuple[str, int]:
    """Message and exit status of an error."""
    if isinstance(error, UsageError):
        return error.format_message(), 2
    if isinstance(error, ValueError):
        return str(error), 2
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return f"{error.strerror} ({error.filename})", 2
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}", 1
    if isinstance(error, HasExitStatus):
        return str(error), error.exit_status
    if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)):
        return "memory must suffice for the networks and a batch; got less: use smaller ones", 1
    text = f"{type(error).__name__}: {error}"
    return f"{text} (internal error; set MULTIGAN_TRACEBACK=1 for the traceback)", 1
