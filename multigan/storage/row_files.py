"""Rows of one shape in one file, read by their index: for data that do not fit into memory.

A file holds the rows, a JSON text, and a tail with the length of the text and a checksum of both.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import os
import struct
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from multigan.storage.files import cache_dir, fsync_dir, parse_json
from multigan.storage.tensor_cache import sweep_temporaries

MAGIC = b"mgrows01"
TAIL = struct.Struct("<8sQ16s")  # MAGIC, bytes of the JSON text, digest of the rows and the text
BLOCK_BYTES = 1 << 24  # read or written at a time
TYPES = {"uint8": torch.uint8, "float32": torch.float32}


class StoredRows:
    """Rows (N, ...) of a file, or some of them; `rows[indices]` selects, `read` reads."""

    def __init__(self, file: Path, row_shape: Sequence[int], dtype: str, count: int) -> None:
        """Raises OSError for a file that cannot be opened."""
        self.file, self.dtype = file, TYPES[dtype]
        self._row_shape = tuple(row_shape)
        self._row_bytes = math.prod(row_shape) * self.dtype.itemsize
        self._members = torch.arange(count)
        self._open = _OpenFile(file)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (N, ...)."""
        return (len(self), *self._row_shape)

    @property
    def num_bytes(self) -> int:
        """The bytes of all rows."""
        return len(self) * self._row_bytes

    def __getitem__(self, index: Any) -> StoredRows:
        """Return the rows at an index tensor, a mask or a slice, without reading them."""
        chosen = copy.copy(self)
        chosen._members = self._members[index.cpu() if isinstance(index, Tensor) else index]
        return chosen

    def read(self) -> Tensor:
        """Read all rows into a tensor (N, ...). Raises OSError for a file that has become short."""
        found = torch.empty(self.shape, dtype=self.dtype)
        view = memoryview(found.reshape(-1).view(torch.uint8).numpy().data)
        for first, start, end in self._runs():
            self._open.read_into(view[first : first + end - start], start)
        return found

    def prefetch(self) -> None:
        """Ask the system to read the rows ahead, where it can."""
        if hasattr(os, "posix_fadvise"):
            for _, start, end in self._runs():
                os.posix_fadvise(self._open.number, start, end - start, os.POSIX_FADV_WILLNEED)

    def _runs(self) -> Iterator[tuple[int, int, int]]:
        """Yield the byte in the result, and the first and last byte in the file, of each run."""
        gaps = (self._members.diff() != 1).nonzero().flatten() + 1
        for a, b in pairwise([0, *gaps.tolist(), len(self)]):
            if b > a:
                start = int(self._members[a]) * self._row_bytes
                yield a * self._row_bytes, start, start + (b - a) * self._row_bytes


class _OpenFile:
    """A file that is read at given places, by all selections of its rows; closed with the last."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.number = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self.number)

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return _OpenFile, (self.file,)  # a worker that does not inherit it opens it again

    def read_into(self, view: memoryview, start: int) -> None:
        """Fill `view` with the bytes from `start` on."""
        while len(view):
            if hasattr(os, "preadv"):  # it leaves the position alone: processes may share the file
                count = os.preadv(self.number, [view], start)
            else:
                os.lseek(self.number, start, os.SEEK_SET)
                content = os.read(self.number, len(view))
                count = len(content)
                view[:count] = content
            if not count:
                raise OSError(f"{self.file} has become shorter; start again to make it again")
            view, start = view[count:], start + count


def read_rows(rows: Tensor | StoredRows) -> Tensor:
    """Return rows as a tensor (N, ...)."""
    return rows.read() if isinstance(rows, StoredRows) else rows


def row_blocks(rows: Tensor | StoredRows) -> Iterator[Tensor]:
    """Yield all rows in blocks of about BLOCK_BYTES."""
    size = max(1, BLOCK_BYTES // max(1, math.prod(rows.shape[1:]) * rows.dtype.itemsize))
    for start in range(0, len(rows), size):
        yield read_rows(rows[start : start + size])


class RowWriter:
    """Rows that are appended to a temporary file of `folder`, or in memory; a context manager.

    On leaving, what is not saved is deleted.
    """

    def __init__(self, row_shape: Sequence[int], dtype: str, folder: Path | None) -> None:
        """Raises OSError for a folder that cannot be written."""
        self.row_shape, self.dtype, self.count = tuple(row_shape), dtype, 0
        self._temporary: Path | None = None
        self._stream: BinaryIO = io.BytesIO()
        if folder is not None:
            sweep_temporaries(folder, ".rows-*.tmp")
            number, name = tempfile.mkstemp(".tmp", ".rows-", folder)
            self._temporary, self._stream = Path(name), os.fdopen(number, "wb+")

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._temporary is not None:  # else the rows may be in use as a tensor
            self._stream.close()
            self._temporary.unlink(missing_ok=True)

    def append(self, rows: np.ndarray) -> None:
        """Write rows (n, ...) after the others."""
        self._stream.write(np.ascontiguousarray(rows).data)
        self.count += len(rows)

    def overwrite(self, first: int, rows: np.ndarray) -> None:
        """Write rows (n, ...) over those from `first` on."""
        self._stream.seek(first * self._row_bytes)
        self.append(rows)
        self.count -= len(rows)
        self._stream.seek(0, os.SEEK_END)

    def rewrite(self, row_shape: Sequence[int], change: Callable[[int, np.ndarray], Any]) -> None:
        """Replace all rows by `change(first, rows)`: as many or fewer, as large or smaller ones."""
        before, self.count, place = self.count, 0, 0
        step, row_bytes = max(1, BLOCK_BYTES // self._row_bytes), self._row_bytes
        for first in range(0, before, step):
            self._stream.seek(first * row_bytes)
            content = self._stream.read(min(step, before - first) * row_bytes)
            rows = np.frombuffer(content, self.dtype).reshape(-1, *self.row_shape)
            self._stream.seek(place)
            self.append(change(first, rows))
            place = self._stream.tell()
        self._stream.truncate(place)
        self.row_shape = tuple(row_shape)

    def save(self, file: Path, description: Any) -> None:
        """Write rows and a description of JSON as `file`: temporary name, fsync, rename.

        Raises OSError where that is not possible.
        """
        own = {"row_shape": self.row_shape, "dtype": self.dtype, "count": self.count}
        text = json.dumps([own, description]).encode()
        if self._temporary is None:  # it stays in memory, too
            file.parent.mkdir(parents=True, exist_ok=True)
            with RowWriter(self.row_shape, self.dtype, file.parent) as copied:
                copied._stream.write(self._stream.getbuffer())  # type: ignore[attr-defined]
                copied.count = self.count
                copied.save(file, description)
            return
        self._stream.flush()
        self._stream.seek(0)
        digest = _digest(self._stream, self.count * self._row_bytes, text)
        self._stream.seek(0, os.SEEK_END)
        self._stream.write(text + TAIL.pack(MAGIC, len(text), digest))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        os.replace(self._temporary, file)
        fsync_dir(file.parent)

    def tensor(self) -> Tensor:
        """Return the rows (N, ...) that are in memory."""
        content = self._stream.getbuffer()  # type: ignore[attr-defined]
        flat = torch.from_numpy(np.frombuffer(content, self.dtype))
        return flat.reshape(self.count, *self.row_shape)

    @property
    def _row_bytes(self) -> int:
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize


def open_rows(file: Path) -> tuple[StoredRows, Any] | None:
    """Return the rows and the description of a saved file; None if missing or damaged.

    All of it is read once, for the checksum.
    """
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size - TAIL.size
            stream.seek(size)
            magic, length, digest = TAIL.unpack(stream.read(TAIL.size))
            stream.seek(size - length)
            text = stream.read(length)
            stream.seek(0)
            if magic != MAGIC or digest != _digest(stream, size - length, text):
                return None
        own, description = parse_json(text)
        found = StoredRows(file, **own)
        return (found, description) if found.num_bytes == size - length else None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, struct.error):
        return None


def writable_cache() -> tuple[Path, bool]:
    """Return the cache folder and True, or the folder of temporary files and False with a warning.

    Files in the latter must be deleted once they are open.
    """
    folder = cache_dir()
    try:
        with tempfile.TemporaryFile(dir=folder):
            return folder, True
    except OSError as error:
        text = f"the cache {folder} cannot be written: {error}; set XDG_CACHE_HOME"
        warnings.warn(text, stacklevel=4)
        return Path(tempfile.gettempdir()), False


def open_once(file: Path) -> StoredRows:
    """Return the rows of a file of this process, whose name is deleted. Raises OSError."""
    found = open_rows(file)
    if found is None:
        raise OSError(f"{file} must hold the rows that were just written; is the disk damaged?")
    with suppress(OSError):  # not while it is open, on Windows
        file.unlink()
    return found[0]


def _digest(stream: BinaryIO, count: int, text: bytes) -> bytes:
    """Hash the next `count` bytes of a stream, and a text."""
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, count, BLOCK_BYTES):
        digest.update(stream.read(min(BLOCK_BYTES, count - start)))
    digest.update(text)
    return digest.digest()
