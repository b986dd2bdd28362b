"""A cache of decoded images in the cache folder of the user."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from multigan.image.formats.decode import FileResult, Size
from multigan.image.formats.values import ReadOptions
from multigan.storage.files import cache_dir, default_cache_dir
from multigan.storage.tensor_cache import load_tensors, store_tensors

CACHE_VERSION = 4  # raise it when decoding or the stored records change
RECORDS = "multigan"  # the metadata with the result of each file


def cache_key(source: str, files: Sequence[str], size: Size, options: ReadOptions) -> str:
    """Hash the names, lengths and times of the files, the size and the options to 24 hex digits."""
    root = Path(source).resolve()
    paths = [root / file for file in files] if root.is_dir() else [root]
    stats = [path.stat() for path in paths]
    content = [CACHE_VERSION, str(root), list(files), tuple(size), sorted(asdict(options).items())]
    content += [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    return hashlib.blake2b(repr(content).encode(), digest_size=12).hexdigest()


def load(key: str, size: Size) -> tuple[Tensor, tuple[FileResult, ...]] | None:
    """Load the pixels and the result of every file; None if missing, damaged or of other shape."""
    found = load_tensors(_file(default_cache_dir(), key))
    if found is None:
        return None
    tensors, metadata = found
    try:
        pixels, records = tensors["pixels"], json.loads(metadata[RECORDS])
        results = tuple(FileResult.from_json(record) for record in records)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    count = sum(result.images for result in results if not result.reason)
    fits = pixels.dtype == torch.uint8 and pixels.ndim == 4 and pixels.shape[0] == count
    return (pixels, results) if fits and tuple(pixels.shape[2:]) == tuple(size) else None


def store(key: str, pixels: Tensor, results: Sequence[FileResult]) -> None:
    """Store pixels and results atomically; a failure is a warning."""
    records = json.dumps([asdict(result) for result in results])
    store_tensors(_file(cache_dir(), key), {"pixels": pixels}, {RECORDS: records})


def _file(folder: Path, key: str) -> Path:
    return folder / f"image-images-{key}.safetensors"
