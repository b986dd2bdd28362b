"""Import of a zip of songs into the user's cache, so that a recipe reads it directly."""

from __future__ import annotations

from pathlib import Path

from multigan.core.fingerprint import fingerprint
from multigan.music.datasets.midi_folder import (
    CACHE_VERSION,
    REPORT,
    SONGS,
    import_midi_folder,
)
from multigan.music.datasets.song_reading import AUTO
from multigan.music.formats.song_archives import is_archive
from multigan.storage.files import cache_dir


def imported_folder(source: str, layout: str = AUTO, grid: int = 4) -> str:
    """Return the folder of imported songs of a zip, imported once; any other source as it is.

    Raises ValueError for a zip that is damaged or holds no song of the layout.
    """
    path = Path(source)
    if not is_archive(path):
        return source
    stat = path.stat()
    of_file = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
    stated = [CACHE_VERSION, *of_file, layout, grid]
    name = fingerprint((stated,), size=12)
    target = cache_dir() / "music" / name
    if not all((target / file).is_file() for file in (SONGS, REPORT)):  # REPORT is written last
        import_midi_folder(source, out=str(target), layout=layout, bars=1, grid=grid)
    return str(target)
