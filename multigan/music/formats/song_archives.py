"""Songs in zip archives."""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from multigan.core.data_counts import printable
from multigan.music.formats.songs import HEADER, SUFFIXES
from multigan.storage.files import is_hidden
from multigan.storage.folders import HIDDEN, Ignored

MAX_SONG_BYTES = 20_000_000  # of one file; larger ones are left out
MAX_BYTES = 4_000_000_000  # of all songs of an archive
NO_SONG = "no MIDI file and no score"
SCORE_PARTS = ("META-INF/",)  # of a compressed score
ENCRYPTED, DAMAGED = "encrypted", "damaged in the archive"
UNKNOWN_COMPRESSION = "in a compression that is not read"
MAX_PART_BYTES, MAX_NAME_BYTES = 255, 3000  # of a file or a folder, and of its path
LONG_NAME = "name that is too long for a file"
REPEATED = "later member of the archive with the name of an earlier one"
NO_FILE = "name that is a file and a folder in the archive"
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError)


def is_archive(file: Path) -> bool:
    """Return whether a file is a zip of files, and no compressed score, by suffix and content."""
    suffix = file.suffix.lower()
    is_file = suffix not in SUFFIXES and file.is_file()
    return is_file and (suffix == ".zip" or zipfile.is_zipfile(file))


def extract_songs(file: Path, folder: Path) -> Ignored:
    """Extract the songs of a zip, and return the names of other members by reason.

    A member that cannot be read is such a reason. Nothing is written outside of the folder. Raises
    ValueError for a zip that cannot be read or is too large.
    """
    others: Ignored = {}
    size_bytes = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.is_dir():
                    continue
                reason = _why_not(entry, folder) or _extract(archive, entry, folder)
                if reason:
                    others.setdefault(reason, []).append(entry.filename)
                    continue
                size_bytes += entry.file_size
                if size_bytes > MAX_BYTES:
                    raise ValueError(f"its songs must have {MAX_BYTES:,} bytes or fewer")
        _raise_if_unreadable(others, size_bytes)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise ValueError(f"{file} must be a zip of songs; it cannot be read: {error}") from error
    return others


def _raise_if_unreadable(others: Ignored, size_bytes: int) -> None:
    """Raise ValueError for an archive without songs that has members which cannot be read."""
    for reason in (ENCRYPTED, UNKNOWN_COMPRESSION, DAMAGED):
        if reason in others and not size_bytes:
            raise ValueError(f"{printable(others[reason][0])} is {reason}")


def _why_not(entry: zipfile.ZipInfo, folder: Path) -> str:
    """Return the reason why a member is not read, by its name and size; "" for one that is."""
    name = entry.filename
    if is_hidden(name):
        return HIDDEN
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        return "path outside of the archive"
    if entry.file_size > MAX_SONG_BYTES:
        return f"larger than {MAX_SONG_BYTES:,} bytes"
    longest = max(len(os.fsencode(part)) for part in name.split("/"))
    if longest > MAX_PART_BYTES or len(os.fsencode(name)) > MAX_NAME_BYTES:
        return LONG_NAME
    if (folder / name).is_dir() or any((folder / p).is_file() for p in PurePosixPath(name).parents):
        return NO_FILE
    if (folder / name).exists():
        return REPEATED
    return NO_SONG if name.startswith(SCORE_PARTS) else ""


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> str:
    """Extract a song; return the reason why a member is none, or cannot be read."""
    is_named_song = PurePosixPath(entry.filename).suffix.lower() in SUFFIXES
    if entry.flag_bits & 1:
        return ENCRYPTED
    try:
        with archive.open(entry) as member:
            content = member.read(len(HEADER))
            if not is_named_song and content != HEADER:
                return NO_SONG
            content += member.read()
    except NotImplementedError:
        return UNKNOWN_COMPRESSION
    except (*UNREADABLE, ValueError):
        return DAMAGED
    target = folder / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return ""
