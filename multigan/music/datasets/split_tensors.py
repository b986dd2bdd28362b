"""Tensors of the splits of songs, and their cache."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from multigan.core.data_counts import DataCounts
from multigan.core.fingerprint import fingerprint
from multigan.storage.files import parse_json
from multigan.storage.tensor_cache import load_tensors, store_tensors

ENCODING_VERSION = 2  # raise it when a change to the encoding changes the cells
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
    return songs.with_name(f"{CACHE_PREFIX}{fingerprint((of_file,), size=12)}.safetensors")


def save_splits(splits: LoadedSplits, file: Path) -> None:
    """Cache the tensors in the folder of the songs; warn where that is not possible."""
    tensors = {
        f"{name} {part}": torch.as_tensor(value)
        for name, split in splits.tensors.items()
        for part, value in split._asdict().items()
    }
    header = {"splits": [*splits.tensors], "counts": splits.counts.to_json()}
    store_tensors(file, tensors, {"header": json.dumps(header)}, fix="nothing is kept")
    with suppress(OSError):
        caches = sorted(
            file.parent.glob(f"{CACHE_PREFIX}*.safetensors"), key=lambda f: f.stat().st_mtime
        )
        for old in caches[:-MAX_CACHES]:
            old.unlink()


def saved_splits(file: Path) -> LoadedSplits | None:
    """Read what `save_splits` wrote; None if it is missing, damaged or of another kind."""
    found = load_tensors(file)
    if found is None:
        return None
    try:
        tensors, header = found[0], parse_json(found[1]["header"])
        counts = DataCounts.from_json(header["counts"])
        splits = {name: _split(tensors, name) for name in header["splits"]}
    except (ValueError, LookupError, TypeError):
        return None
    return None if counts is None else LoadedSplits(splits, counts)


def _split(tensors: dict[str, Tensor], name: str) -> SplitTensors:
    own = {part: tensors[f"{name} {part}"] for part in SplitTensors._fields}
    shifts = [(low, high) for low, high in own.pop("shifts").tolist()]
    return SplitTensors(shifts=shifts, **own)
