"""A cache of decoded images in the cache folder of the user."""

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

CACHE_VERSION = 3  # raise it when decoding or the stored records change


def cache_key(source: str, files: Sequence[str], size: Size) -> str:
    """Hash the names, lengths and times of the files, and the size, to 24 hex digits."""
    root = Path(source).resolve()
    paths = [root / file for file in files] if root.is_dir() else [root]
    stats = [path.stat() for path in paths]
    content = [CACHE_VERSION, str(root), list(files), tuple(size)]
    content += [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    return hashlib.blake2b(repr(content).encode(), digest_size=12).hexdigest()


def load(key: str) -> tuple[Tensor, tuple[FileResult, ...]] | None:
    """Load the pixels and the result of every file; None if missing or damaged."""
    try:
        with safe_open(_file(key), framework="pt") as file:
            records = json.loads(file.metadata()["multigan"])
            return file.get_tensor("pixels"), tuple(FileResult(**record) for record in records)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError):
        return None


def store(key: str, pixels: Tensor, results: Sequence[FileResult]) -> None:
    """Store pixels and results atomically; a failure is a warning."""
    records = json.dumps([asdict(result) for result in results])
    try:
        file = _file(key)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            save_file({"pixels": pixels}, temporary, metadata={"multigan": records})
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        warnings.warn(f"decoded images are not cached: {error}", stacklevel=2)


def _file(key: str) -> Path:
    return cache_dir() / f"image-images-{key}.safetensors"
