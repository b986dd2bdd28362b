"""Tensors of the splits of songs, and their cache, with a checksum."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multigan.core.data_counts import DataCounts
from multigan.storage.files import parse_json, read_arrays, write_atomically

ENCODING_VERSION = 2  # raise it when a change to the encoding changes the cells
DIGEST_BYTES = 32
CACHE_PREFIX = "windows-"
MAX_CACHES = 4  # in one folder, of several kinds of windows


class SplitTensors(NamedTuple):
    """The music of one split. A window is T steps from one of the `starts` on."""

    # (2, S, L) uint8, see `to_codes`: the pieces end to end, as written, and with onsets only
    codes: Tensor
    starts: Tensor  # (N,) int64
    shifts: list[tuple[int, int]]  # of each window: semitones, how far down and up it may move
    pieces: Tensor  # (N,) int64: which stretch of a song it is from
    endings: Tensor  # (N,) bool: whether it ends its song


class LoadedSplits(NamedTuple):
    """The tensors of each split, and the counts of what they were made from."""

    tensors: dict[str, SplitTensors]
    counts: DataCounts


def cache_file(songs: Path, *stated: object) -> Path:
    """Return the cache, in the folder of a file of songs, of what is made of them."""
    stat = songs.stat()
    of_file = [ENCODING_VERSION, str(songs.resolve()), stat.st_size, stat.st_mtime_ns, *stated]
    name = hashlib.blake2b(repr(of_file).encode(), digest_size=12).hexdigest()
    return songs.with_name(f"{CACHE_PREFIX}{name}.npz")


def save_splits(splits: LoadedSplits, file: Path) -> None:
    """Write the tensors, compressed; warn where that is not possible."""
    arrays: dict[str, np.ndarray] = {}
    for name, tensors in splits.tensors.items():
        arrays[f"{name} codes"] = tensors.codes.numpy()
        arrays[f"{name} starts"] = tensors.starts.numpy()
        arrays[f"{name} shifts"] = np.array(tensors.shifts, np.int64).reshape(-1, 2)
        arrays[f"{name} pieces"] = tensors.pieces.numpy()
        arrays[f"{name} endings"] = tensors.endings.numpy()
    header = json.dumps({"splits": [*splits.tensors], "counts": splits.counts.to_json()}).encode()
    arrays["header"] = np.frombuffer(header, np.uint8)
    arrays["digest"] = np.frombuffer(_digest(arrays), np.uint8)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle for one
    try:
        write_atomically(file, content.getvalue())
        caches = sorted(file.parent.glob(f"{CACHE_PREFIX}*.npz"), key=lambda f: f.stat().st_mtime)
        for old in caches[:-MAX_CACHES]:
            old.unlink()
    except OSError as error:
        warnings.warn(f"{file} cannot be written ({error.strerror}); nothing is kept", stacklevel=2)


def saved_splits(file: Path) -> LoadedSplits | None:
    """Read what `save_splits` wrote; None if it is missing, damaged, or not intact."""
    if not file.is_file():
        return None
    try:
        arrays = read_arrays(file)
        if arrays.pop("digest").tobytes() != _digest(arrays):
            return None
        header = parse_json(arrays["header"].tobytes())
        counts = DataCounts.from_json(header["counts"])
        tensors = {name: _tensors(arrays, name) for name in header["splits"]}
        return None if counts is None else LoadedSplits(tensors, counts)
    except (ValueError, LookupError, TypeError):
        return None


def _tensors(arrays: dict[str, np.ndarray], name: str) -> SplitTensors:
    shifts = [(int(low), int(high)) for low, high in arrays[f"{name} shifts"]]
    codes, starts, pieces, endings = (
        torch.from_numpy(arrays[f"{name} {key}"])
        for key in ("codes", "starts", "pieces", "endings")
    )
    return SplitTensors(codes, starts, shifts, pieces, endings)


def _digest(arrays: dict[str, np.ndarray]) -> bytes:
    """Digest of the names and contents of arrays."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.digest()
