"""How much room a described network takes, found out before it is taken.

A description of a stranger's may ask for any amount: the network is first built on torch's device
"meta", where tensors have shapes and no memory.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from multigan.core.serialization import from_config, get_component

MOST_BYTES = 8_000_000_000  # of the tensors of one network that nothing else vouches for
MAX_TENSORS = 20_000  # of one network: each costs kilobytes beside its numbers
MAX_RATIO_TO_FILE = 8  # as much room as its weights take: these may be stored in 16 bits, or tied
SMALL_BYTES = 1_000_000_000  # and this much beside it: tables that are computed and not stored


def memory_budget(stored_bytes: int) -> int:
    """The room that a network may take whose weights take `stored_bytes` in a file."""
    return MAX_RATIO_TO_FILE * stored_bytes + SMALL_BYTES


def check_model_memory(description: Any, most: int = MOST_BYTES) -> None:
    """Raise ValueError where a network anywhere in a description takes more than `most` bytes.

    Those of a trusted recipe file are left alone: their code runs anyway.
    """
    if isinstance(description, list):
        for item in description:
            check_model_memory(item, most)
    elif isinstance(description, dict):
        name = description.get("component")
        if name is not None and _is_network(name):
            build_on_meta(description, most)
        else:
            check_model_memory(list(description.values()), most)


def _is_network(name: Any) -> bool:
    """Whether an installed domain has a network of this name."""
    try:
        cls = get_component(name)
    except ValueError:
        return False  # a trusted file's, or the rebuilding says what is wrong with it
    return isinstance(cls, type) and issubclass(cls, torch.nn.Module)


def build_on_meta(description: Any, most: int = MOST_BYTES) -> Any:
    """What `rebuild` makes of a description, on the device "meta": shapes without memory.

    None for a constructor that cannot work there, as one of another package may not.
    Raises ValueError for one that takes more than `most` bytes or MOST_TENSORS, before it does.
    """
    counted = _Counting(most)
    try:
        with warnings.catch_warnings(), torch.device("meta"), counted:
            warnings.simplefilter("ignore")  # the rebuilding says it
            found = from_config(description)
    except Exception:  # constructors fail without memory in as many ways as there are
        found = None
    if counted.exceeded:
        size = f"{counted.bytes:,} bytes or more in {counted.tensors:,} tensors or more"
        wanted = f"{most:,} bytes in {MAX_TENSORS:,} tensors, at most"
        raise ValueError(f"its description is of a network of {size}; wanted {wanted}")
    return found


class _Counting(TorchDispatchMode):
    """A block in which the bytes of new tensors are added up; MemoryError for more than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.exceeded = most, False
        self.bytes = self.tensors = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and skipping imports the compiler: a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable:  # nothing to fill; and torch would import half of itself
            return args[0]
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and func._schema.returns[0].alias_info is None:  # a new one
            self._add(found.numel() * found.element_size())
        return found

    def _add(self, size_bytes: int) -> None:
        self.bytes, self.tensors = self.bytes + size_bytes, self.tensors + 1
        self.exceeded = self.bytes > self.most or self.tensors > MAX_TENSORS
        if self.exceeded:
            raise MemoryError
