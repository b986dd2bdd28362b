"""Limits on the memory of networks, checked before they are built.

An untrusted description may ask for any amount. The network is first built on torch's device
"meta", where tensors have shapes and no memory.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from threading import get_ident
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode

from multigan.core.serialization import from_config, get_component

MAX_NETWORK_BYTES = 8_000_000_000  # of the tensors of one network without a weight file
MAX_TENSORS = 20_000  # of one network, modules included: each costs kilobytes besides its values
MAX_RATIO_TO_FILE = 8  # memory of a network by the size of its file, which may be 16-bit or tied
EXTRA_BYTES = 1_000_000_000  # added to it, for computed tables that are not stored


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
    or MAX_TENSORS, as soon as they are registered.
    """
    size_bytes = tensors = 0
    thread, found = get_ident(), None

    def count(module: nn.Module, name: str, registered: Any) -> None:
        nonlocal size_bytes, tensors
        if get_ident() == thread:  # a hook is called in all threads
            size_bytes, tensors = size_bytes + getattr(registered, "nbytes", 0), tensors + 1
            if size_bytes > max_bytes or tensors > MAX_TENSORS:
                raise MemoryError

    with (
        suppress(Exception),  # constructors raise arbitrary exceptions on meta
        warnings.catch_warnings(),
        torch.device("meta"),
        _WithoutNormal(),
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
        hooks.register_module_module_registration_hook(count),
    ):
        warnings.simplefilter("ignore")  # `from_config` repeats them later
        found = from_config(description)
    if size_bytes > max_bytes or tensors > MAX_TENSORS:
        size = f"{size_bytes:,} bytes or more in {tensors:,} tensors or more"
        limit = f"{max_bytes:,} bytes in {MAX_TENSORS:,} tensors"
        raise ValueError(f"a described network must take at most {limit}; got {size}")
    return found


class _WithoutNormal(TorchFunctionMode):
    """Context manager that skips `normal_`, which on meta imports torch's compiler (1 s)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return kwargs["tensor"] if func is nn.init.normal_ else func(*args, **(kwargs or {}))
