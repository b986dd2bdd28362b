"""Cached tensors on disk: checked when they are read, and made again if anything is wrong."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn, uint8

from multigan.core.fingerprint import fingerprint
from multigan.storage.files import replacing
from multigan.storage.weights import save_tensors

CHECKSUM = "checksum"  # in the metadata, of all tensors and the other metadata
MAX_AGE_S = 3600.0  # of a temporary file of another process


def load_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Return the tensors and the metadata of a cached file; None if missing or damaged.

    A file is damaged if its checksum does not match: a half-written or edited one.
    """
    try:
        with safe_open(file, framework="pt") as stored:
            metadata = dict(stored.metadata() or {})
            names = stored.keys()
            tensors = {name: stored.get_tensor(name) for name in names}
    except (OSError, SafetensorError, ValueError):
        return None
    expected = metadata.pop(CHECKSUM, None)
    return (tensors, metadata) if expected == _checksum(tensors, metadata) else None


def load_network(file: Path, network: nn.Module) -> dict[str, str] | None:
    """Load a cached state into `network` and return the metadata; None leaves it as it is.

    None stands for a missing or damaged file, and for tensors of other names, shapes or types.
    """
    found = load_tensors(file)
    if found is None:
        return None
    own = {name: (t.shape, t.dtype) for name, t in network.state_dict().items()}
    if {name: (t.shape, t.dtype) for name, t in found[0].items()} != own:
        return None
    network.load_state_dict(found[0])
    return found[1]


def store_tensors(
    file: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    fix: str = "set XDG_CACHE_HOME",
) -> None:
    """Write tensors and metadata with a checksum, completely or not at all.

    Temporary files that killed processes left are deleted. A folder that cannot be written is a
    warning with the `fix`.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    described = {**metadata, CHECKSUM: _checksum(contiguous, metadata)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sweep_temporaries(file.parent, f".*{file.suffix}.*.tmp")
        with replacing(file) as temporary:
            save_tensors(temporary, contiguous, described)
    except (OSError, SafetensorError) as error:
        text = f"the cache {file.parent} cannot be written: {error}; {fix}"
        warnings.warn(text, stacklevel=3)


def sweep_temporaries(folder: Path, pattern: str, max_age_s: float = MAX_AGE_S) -> None:
    """Delete files of a folder that match `pattern` and are older than `max_age_s`."""
    for leftover in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > max_age_s:
                leftover.unlink()


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    parts: list[object] = [sorted(metadata.items())]
    for name, tensor in sorted(tensors.items()):
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)}")
        parts.append(tensor.reshape(-1).view(uint8).numpy().data)
    return fingerprint(parts)
