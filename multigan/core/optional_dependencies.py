"""The one place that imports packages that may be absent or broken: torchaudio, transformers,
datasets and huggingface_hub.

The registry's torchaudio is built for CUDA; next to a CPU-only torch its import fails, and with it
that of transformers' models, which import torchaudio wherever it is installed. Its Python layer
(spectrograms, resampling) needs none of the compiled extension, so it is imported without it then.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

EXTENSION = "torchaudio._extension"


def torchaudio() -> ModuleType:
    """torchaudio: whole, or without its compiled extension where that cannot load.

    Raises ValueError with the line that installs it where it is absent.
    """
    if importlib.util.find_spec("torchaudio") is None:
        raise ValueError("this needs torchaudio: pip install 'multigan[audio]'")
    try:
        return importlib.import_module("torchaudio")
    except (OSError, RuntimeError, ImportError):
        _forget("torchaudio")
        sys.modules[EXTENSION] = _no_extension()
        return importlib.import_module("torchaudio")


def torchaudio_status() -> str:
    """In one line: which torchaudio is active."""
    try:
        found = torchaudio()
    except ValueError as error:
        return f"torchaudio: absent ({error})"
    whole = not hasattr(sys.modules[EXTENSION], "stands_in")
    layer = "with its compiled extension" if whole else "without its compiled extension"
    return f"torchaudio {found.__version__}: active, {layer}"


def transformers() -> ModuleType:
    """transformers, with its model classes importable whatever the state of torchaudio.

    Raises ValueError with the line that installs it where it is absent.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ValueError("this needs transformers: pip install 'multigan[text]'")
    if importlib.util.find_spec("torchaudio") is not None:
        torchaudio()
    return importlib.import_module("transformers")


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """A block in which Hugging Face's libraries send no request, whatever they are asked for."""
    hub = importlib.import_module("huggingface_hub")
    older = importlib.import_module("transformers.utils.hub")  # version 4 keeps its own copy
    places = [(hub.constants, "HF_HUB_OFFLINE"), (older, "_is_offline_mode")]
    before = [(module, name, vars(module)[name]) for module, name in places if name in vars(module)]
    try:
        for module, name, _ in before:
            setattr(module, name, True)
        _forget_sessions(hub)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        _forget_sessions(hub)


def _forget_sessions(hub: ModuleType) -> None:
    """Drop open sessions of a huggingface_hub below 1, which read the mode when they start."""
    reset = getattr(hub.utils, "reset_sessions", None)
    if reset is not None:
        reset()


def datasets() -> ModuleType:
    """Hugging Face's `datasets`, which reads Parquet and Arrow.

    Raises ValueError with the line that installs it where it is absent.
    """
    if importlib.util.find_spec("datasets") is None:
        raise ValueError("this needs datasets: pip install 'multigan[image]'")
    return importlib.import_module("datasets")


def huggingface_hub() -> ModuleType:
    """The client of the Hugging Face Hub, for `hf://user/name`, `push` and model cards.

    Raises ValueError with the line that installs it where it is absent.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError("this needs huggingface_hub: pip install 'multigan[hub]'")
    importlib.import_module("huggingface_hub.errors")
    return importlib.import_module("huggingface_hub")


def _forget(package: str) -> None:
    """Drop a half-imported package."""
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        del sys.modules[name]


def _no_extension() -> ModuleType:
    """Stand-in for what torchaudio's own `_extension` offers when nothing was compiled."""

    def leave_as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    module = ModuleType(EXTENSION)
    offers = {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "fail_if_no_align": leave_as_it_is,
        "_check_cuda_version": lambda: None,
        "stands_in": True,
    }
    for name, value in offers.items():
        setattr(module, name, value)
    return module
