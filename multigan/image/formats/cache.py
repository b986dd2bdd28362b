"""The names of cached files of decoded images, in the cache folder of the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from multigan.core.fingerprint import fingerprint
from multigan.image.formats.decode import Size
from multigan.image.formats.values import ReadOptions
from multigan.storage.files import default_cache_dir

CACHE_VERSION = 5  # raise it when decoding or the stored records change


def cached_file(source: str, files: Sequence[str], size: Size, options: ReadOptions) -> Path:
    """Return the place of the decoded images of some files of a folder, or of one file.

    Its name is a hash of the names, lengths and times of the files, the size and the options.
    """
    root = Path(source).resolve()
    paths = [root / file for file in files] if root.is_dir() else [root]
    stats = [path.stat() for path in paths]
    content = [CACHE_VERSION, str(root), list(files), tuple(size), sorted(asdict(options).items())]
    content += [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    key = fingerprint((content,), size=12)
    return default_cache_dir() / f"image-images-{key}.rows"
