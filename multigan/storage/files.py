"""Bounded reading and atomic writing of files, and the cache directory."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


MAX_ARRAY_BYTES = 16_000_000_000  # of one file, unpacked: all of it is kept in memory
OLD_FORMATS = {1: "0.1"}  # of runs and weight files: format -> version that reads it
MAX_JSON_DEPTH = 100  # levels of nesting; functions on JSON trees are recursive
TOO_DEEP = f"its JSON is nested more than {MAX_JSON_DEPTH} levels deep"
TOO_MANY_DIGITS = "its JSON has a number of too many digits"


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text. Raises ValueError, also for more than MAX_JSON_DEPTH levels."""
    try:
        tree = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # of int()
        raise ValueError(TOO_MANY_DIGITS) from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if isinstance(text, bytes):
        openings = text.count(b"{") + text.count(b"[")
    else:
        openings = text.count("{") + text.count("[")
    if openings <= MAX_JSON_DEPTH:  # as few cannot be too deep
        return tree
    level = [tree]
    for _ in range(MAX_JSON_DEPTH):
        trees = [node for node in level if isinstance(node, dict | list)]
        if not trees:
            return tree
        level = [n for t in trees for n in (t.values() if isinstance(t, dict) else t)]
    if level:
        raise ValueError(TOO_DEEP)
    return tree


def check_format(path: Path, found: Any, expected: int) -> None:
    """Raise ValueError if a run or weight file has another format than `expected`."""
    if found == expected:
        return
    if isinstance(found, int) and found in OLD_FORMATS:
        reader = f"format {found} is read by multigan {OLD_FORMATS[found]}"
        raise ValueError(f"{path}: {reader}; this version reads format {expected}")
    raise ValueError(f"{path} has format {found!r}; this version reads format {expected}")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an .npz file by name; that of an .npy file under the stem of its own.

    Raises ValueError for a file that is damaged or missing, holds objects (which would execute
    code), or unpacks to more than MAX_ARRAY_BYTES.
    """
    import numpy as np

    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                check_array_size(sum(item.file_size for item in zipfile.ZipFile(file).infolist()))
            file.seek(0)
            with np.errstate(invalid="ignore"):  # of a shape beyond 64 bits, which is refused
                found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return {path.stem: found}
            return {name: found[name] for name in found.files}
    except Exception as error:  # numpy, zipfile and zlib raise arbitrary exceptions
        message = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path} must be a readable file of arrays; got {message}") from error


def check_array_size(size_bytes: int) -> None:
    """Raise ValueError for arrays of more than MAX_ARRAY_BYTES, before they are unpacked."""
    if size_bytes > MAX_ARRAY_BYTES:
        limit = f"{MAX_ARRAY_BYTES:,}"
        raise ValueError(f"its arrays must take {limit} bytes or less; got {size_bytes:,} bytes")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name; at the end of the block its file takes the place of `path`.

    By fsync, rename and fsync of the folder; after an error the file is deleted.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_dir(path.parent)


def fsync_dir(folder: Path) -> None:
    """Make the renames in a folder durable (a no-op where folders cannot be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_dir(path: str | Path | None = None) -> Path:
    """`path`, else the user's cache folder; created if missing and possible."""
    folder = Path(path) if path is not None else default_cache_dir()
    with suppress(OSError):  # what is stored there warns
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def default_cache_dir() -> Path:
    """$XDG_CACHE_HOME/multigan, else ~/.cache/multigan; may not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "multigan"


SYSTEM_NAMES = ("__MACOSX", "Thumbs.db", "desktop.ini", "ehthumbs.db", "@eaDir")


def is_hidden(name: str) -> bool:
    """Check that a relative path has a part that is hidden or of the operating system."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("..", ".")]
    return any(part in SYSTEM_NAMES or part.startswith(".") for part in parts)
