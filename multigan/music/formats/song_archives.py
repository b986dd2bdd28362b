"""Songs in zip archives."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from multigan.music.formats.songs import HEADER, SUFFIXES
from multigan.storage.files import is_hidden
from multigan.storage.folders import HIDDEN, Ignored

MAX_SONG_BYTES = 20_000_000  # of one file; larger ones are left out
MAX_BYTES = 4_000_000_000  # of all songs of an archive
NO_SONG = "no MIDI file and no score"
SCORE_PARTS = ("META-INF/",)  # of a compressed score


def is_archive(file: Path) -> bool:
    """Return whether a file is a zip of files, and no compressed score, by suffix and content."""
    suffix = file.suffix.lower()
    is_file = suffix not in SUFFIXES and file.is_file()
    return is_file and (suffix == ".zip" or zipfile.is_zipfile(file))


def extract_songs(file: Path, folder: Path) -> Ignored:
    """Extract the songs of a zip, and return the names of other members by reason.

    Nothing is written outside of the folder. Raises ValueError for a zip that cannot be read or is
    too large.
    """
    others: Ignored = {}
    size_bytes = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if reason := _why_not(archive, entry, folder):
                    others.setdefault(reason, []).append(entry.filename)
                elif not entry.is_dir():
                    size_bytes += entry.file_size
                    if size_bytes > MAX_BYTES:
                        raise ValueError(f"its songs must have {MAX_BYTES:,} bytes or fewer")
                    archive.extract(entry, folder)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ValueError(f"{file} must be a zip of songs; it cannot be read: {error}") from error
    return others


def _why_not(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> str:
    """Return the reason why a member is not extracted; "" for a song, and for a folder."""
    name = entry.filename
    if entry.is_dir():
        return ""
    if is_hidden(name):
        return HIDDEN
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        return "path outside of the archive"
    if entry.file_size > MAX_SONG_BYTES:
        return f"larger than {MAX_SONG_BYTES:,} bytes"
    if (folder / name).exists():
        return "later member of the archive with the name of an earlier one"
    if PurePosixPath(name).suffix.lower() in SUFFIXES:
        return NO_SONG if name.startswith(SCORE_PARTS) else ""
    with archive.open(entry) as member:
        return "" if member.read(len(HEADER)) == HEADER else NO_SONG
