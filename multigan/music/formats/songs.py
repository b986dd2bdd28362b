"""Songs from files of any kind that is read, by their first bytes: MIDI and MusicXML."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from multigan.music.formats.midi import MidiReading, UnreadableMidi, read_midi_counted
from multigan.music.formats.musicxml import read_musicxml
from multigan.music.formats.song import Song

SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".smf", ".musicxml", ".mxl", ".xml")
SCORE_STARTS = (b"PK", b"<", b"\xef\xbb\xbf<", b"\xff\xfe<", b"\xfe\xff\0<")  # archives and XML


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
    if not _first_bytes(path).lstrip().startswith(SCORE_STARTS):
        return read_midi_counted(path)
    changes: Counter[str] = Counter()
    try:
        song = read_musicxml(path, changes)
    except ValueError as error:
        detail = str(error).removeprefix(f"{path}: ").partition(";")[0]
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
