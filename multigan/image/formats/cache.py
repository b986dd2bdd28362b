"""Decoded pictures, kept between runs in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from multigan.image.formats.decode import FileResult, Size
from multigan.storage.files import cache_dir

READING = 2  # raise it when a change in reading changes what comes back


def cache_key(source: str, files: Sequence[str], size: Size) -> str:
    """24 hex digits of the files as they lie there, by name, length and time, and of the size."""
    root = Path(source).resolve()
    places = [root / file for file in files] if root.is_dir() else [root]
    stats = [place.stat() for place in places]
    stated = [READING, str(root), list(files), tuple(size)]
    stated += [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    return hashlib.blake2b(repr(stated).encode(), digest_size=12).hexdigest()


def load(key: str) -> tuple[Tensor, tuple[FileResult, ...]] | None:
    """The pixels and what became of every file; None where they are not kept, or damaged."""
    try:
        with safe_open(_file(key), framework="pt") as file:
            stated = json.loads(file.metadata()["multigan"])
            return file.get_tensor("pixels"), tuple(FileResult(**outcome) for outcome in stated)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError):
        return None


def store(key: str, pixels: Tensor, outcomes: Sequence[FileResult]) -> None:
    """Keep them, whole or not at all; a warning if there is no room."""
    stated = json.dumps([asdict(outcome) for outcome in outcomes])
    try:
        file = _file(key)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            save_file({"pixels": pixels}, temporary, metadata={"multigan": stated})
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        warnings.warn(f"decoded pictures are not kept for the next time: {error}", stacklevel=2)


def _file(key: str) -> Path:
    return cache_dir() / f"image-pictures-{key}.safetensors"
