"""Import of a zip of songs into the user's cache, so that a recipe reads it directly."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from multigan.music.datasets.midi_folder import CACHE_VERSION, SONGS, import_midi_folder
from multigan.music.datasets.song_reading import AUTO
from multigan.music.formats.songs import SUFFIXES
from multigan.storage.files import cache_dir, is_hidden

MAX_SONG_BYTES = 20_000_000  # of one file; larger ones are left out


def imported_folder(source: str, layout: str = AUTO, grid: int = 4) -> str:
    """Return the folder of imported songs of a zip, imported once; any other source as it is.

    Raises ValueError for a zip that is damaged or holds no song of the layout.
    """
    path = Path(source)
    if path.suffix.lower() != ".zip" or not path.is_file():
        return source
    stat = path.stat()
    of_file = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
    stated = [CACHE_VERSION, *of_file, layout, grid]
    name = hashlib.blake2b(repr(stated).encode(), digest_size=12).hexdigest()
    target = cache_dir() / "music" / name
    if not (target / SONGS).is_file():
        with TemporaryDirectory() as folder:
            _extract(path, Path(folder))
            import_midi_folder(folder, out=str(target), layout=layout, bars=1, grid=grid)
    return str(target)


def _extract(file: Path, folder: Path) -> None:
    """Extract the songs of a zip. Paths that lead out of the folder are left out."""
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                parts = PurePosixPath(entry.filename).parts
                is_song = Path(entry.filename).suffix.lower() in SUFFIXES
                is_inside = not entry.is_dir() and ".." not in parts and parts[:1] != ("/",)
                fits = entry.file_size <= MAX_SONG_BYTES and not is_hidden(entry.filename)
                if is_song and is_inside and fits:
                    archive.extract(entry, folder)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{file} must be a zip of songs; it cannot be read: {error}") from error
