"""How much room a described network takes, found out before it is taken.

A description of a stranger's may ask for any amount: the network is first built on torch's device
"meta", where tensors have shapes and no memory.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from multigan.part import find_part, rebuild

MOST_BYTES = 8_000_000_000  # of the tensors of one network that nothing else vouches for
MOST_TENSORS = 20_000  # of one network: each costs kilobytes beside its numbers
TIMES_ITS_FILE = 8  # as much room as its weights take: these may be stored in 16 bits, or tied
SMALL_BYTES = 64_000_000  # and this much beside it, for tables that are computed and not stored


def most_bytes(stored_bytes: int) -> int:
    """The room that a network may take whose weights take `stored_bytes` in a file."""
    return TIMES_ITS_FILE * stored_bytes + SMALL_BYTES


def sketch(description: Any, most: int = MOST_BYTES, trusted: ModuleType | None = None) -> Any:
    """What `rebuild` makes of a description, on the device "meta": shapes without memory.

    None for a constructor that cannot work there, of another package's domain or the trusted file.
    Raises ValueError for one that takes more than `most` bytes or MOST_TENSORS, before it does.
    """
    try:
        with warnings.catch_warnings(), torch.device("meta"), _Counting(most) as counted:
            warnings.simplefilter("ignore")  # the rebuilding says it
            return rebuild(description, trusted)
    except Exception:  # constructors fail without memory in as many ways as there are
        if counted.exceeded:
            raise
        return None


def demand_room(
    description: Any, most: int = MOST_BYTES, trusted: ModuleType | None = None
) -> None:
    """Sketch every network that stands in a description, wherever: ValueError as of `sketch`."""
    if isinstance(description, dict) and _is_network(description.get("part"), trusted):
        sketch(description, most, trusted)
    elif isinstance(description, dict | list):
        inside = description.values() if isinstance(description, dict) else description
        for item in inside:
            demand_room(item, most, trusted)


def _is_network(name: Any, trusted: ModuleType | None) -> bool:
    try:
        cls = find_part(name, trusted)
    except ValueError:  # no part: the rebuilding says it
        return False
    return isinstance(cls, type) and issubclass(cls, nn.Module)


class _Counting(TorchDispatchMode):
    """A block in which the bytes of new tensors are added up; ValueError for more than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.exceeded = most, False
        self.bytes = self.tensors = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable:  # nothing to fill; and torch would import half of itself
            return args[0]
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and func._schema.returns[0].alias_info is None:  # a new one
            self._add(found.numel() * found.element_size())
        return found

    def _add(self, size_bytes: int) -> None:
        self.bytes, self.tensors = self.bytes + size_bytes, self.tensors + 1
        self.exceeded = self.bytes > self.most or self.tensors > MOST_TENSORS
        if self.exceeded:
            found = f"{self.bytes:,} bytes or more in {self.tensors:,} tensors or more"
            wanted = f"{self.most:,} bytes in {MOST_TENSORS:,} tensors, at most"
            raise ValueError(f"its description is of a network of {found}; wanted {wanted}")
