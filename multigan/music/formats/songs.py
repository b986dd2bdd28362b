"""Songs from files of any kind that is read, by their first bytes: MIDI and MusicXML."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from multigan.music.formats.midi import MidiReading, UnreadableMidi, read_midi_counted
from multigan.music.formats.musicxml import read_musicxml
from multigan.music.formats.song import Song

SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".smf", ".musicxml", ".mxl", ".xml")
SCORE_STARTS = (b"PK", b"<", b"\xef\xbb\xbf<", b"\xff\xfe<", b"\xfe\xff\0<")  # archives and XML


# The first bytes of files that are called as songs are, in lower case -> their kind, a remedy.
OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip file", "unpack it"),
    (b"<!doctype html", "a web page", "its download failed; fetch the file itself"),
    (b"<html", "a web page", "its download failed; fetch the file itself"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (b"id3", "audio", "MIDI or MusicXML is needed"),
    (b"oggs", "audio", "MIDI or MusicXML is needed"),
    (b"flac", "audio", "MIDI or MusicXML is needed"),
    (b"\0\5\x16\7", "a resource fork of macOS", "it holds no music"),
    (b"\x18fichier guitar pro", "a Guitar Pro file", "export it as MIDI or MusicXML"),
)
HEADER = b"MThd"


def is_song(path: Path) -> bool:
    """Return whether a file is a song by its suffix, or begins as MIDI files do."""
    return path.suffix.lower() in SUFFIXES or _first_bytes(path).startswith(HEADER)


def read_song(source: str | Path) -> Song:
    """Read a MIDI file or a score; a warning counts the events that are changed.

    Raises UnreadableMidi as `read_song_counted` does.
    """
    reading = read_song_counted(source)
    reading.warn(source)
    return reading.song


def read_song_counted(source: str | Path) -> MidiReading:
    """Read a MIDI file or a score, and count the events that are left out or changed.

    Raises UnreadableMidi, a ValueError of one line, for a file that cannot be used.
    """
    path = Path(source)
    start = _first_bytes(path)
    for mark, kind, remedy in OTHER_KINDS:
        if start.lstrip().lower().startswith(mark):
            raise UnreadableMidi(path, f"is {kind}", remedy)
    if not start.lstrip().startswith(SCORE_STARTS):
        return read_midi_counted(path)
    changes: Counter[str] = Counter()
    try:
        song = read_musicxml(path, changes)
    except ValueError as error:
        detail = str(error).removeprefix(f"{path}: ").removesuffix("; export it again")
        raise UnreadableMidi(path, "is no readable score", "export it again", detail) from error
    if not any(track.notes for track in song.tracks):
        raise UnreadableMidi(path, "has no notes", "export the parts with notes")
    return MidiReading(song, changes)


def _first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file; none of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError:
        return b""
