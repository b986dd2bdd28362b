"""How a command ends badly: one line on stderr and an exit status.

2: arguments, missing or foreign input, a damaged run; 1: disk full, failed training, our bug; 130
and 143: Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any


def print_warning(message: Any, *_: Any, **__: Any) -> None:
    """What `warnings.showwarning` does in a command: one line."""
    print(f"warning: {message}", file=sys.stderr)


def report_error(error: Exception) -> int:
    """Say an error in one line; return the exit status."""
    if hasattr(error, "format_message"):  # a wrong command line
        text, status = error.format_message(), 2
    elif isinstance(error, ValueError):
        text, status = str(error), 2
    elif isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        text, status = f"{error.strerror} ({error.filename})", 2
    elif isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        text, status = f"{error.strerror or error}{place}", 1
    elif hasattr(error, "exit_status"):  # training stopped or failed
        text, status = str(error), error.exit_status
    else:
        text, status = f"{type(error).__name__}: {error}", 1
        text += " (our bug; MULTIGAN_TRACEBACK=1 shows where)"
    if os.environ.get("MULTIGAN_TRACEBACK"):
        traceback.print_exception(error)
    if text:  # a command without arguments has shown its help instead
        print("error: " + " ".join(text.split()), file=sys.stderr)
    return status
