"""What the fuzzing knows of one kind of file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reader:
    """What one kind of file is read by."""

    name: str  # of the file: its end chooses the reader
    samples: Callable[[Path], list[bytes]]  # good files; the folder is there to make them in
    read: Callable[[Path], Any]
    is_json: bool = False  # then half of the inputs are odd trees in good JSON
    share: float = 1.0  # of the inputs that every reader gets: the slow ones get fewer
    names_file: bool = True  # its errors say which file it was
