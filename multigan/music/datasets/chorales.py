"""Bach's chorales in four voices, read from the music21 package that is installed.

They have what the JSB file lacks: true bar lines, metres and pickups, the signed key, and
repeated notes. The music is in the public domain; music21's corpus is distributed with
permission of its encoders, so it is read where pip put it and never copied into this project.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from multigan.core.fingerprint import fingerprint
from multigan.music.formats.musicxml import read_musicxml
from multigan.music.formats.npz import load_songs, save_songs, split_by_hash
from multigan.music.formats.song import Song, Track
from multigan.music.representations.voices import SATB
from multigan.storage.files import cache_dir

READING = 2  # raise it when a change to the readers changes what they return: caches go by it
SUFFIXES = (".mxl", ".xml")
BWV = re.compile(r"bwv(\d+)(?:\.(\d+))?(.*)")  # work, movement, variant: bwv248.23-2


def read_chorales(cache: str | Path | None = None) -> dict[str, Song]:
    """The chorales by name ("bwv1.6"), in the order of their numbers; tracks S, A, T, B as in SATB.

    The first call reads the installed corpus (seconds) and keeps the result in `cache`, by default
    the user's cache folder. Repeats are not expanded; all notes are kept, even those between
    sixteenths: `to_pianoroll` moves these.
    Raises ValueError, with the line that installs it, if music21 is missing.
    """
    files = corpus_files()
    kept = cache_dir(cache) / f"chorales-{_fingerprint(files)}.npz"
    try:
        return load_songs(kept)
    except ValueError:  # not there yet, or damaged
        songs = dict(satb_songs(files))
        save_songs(songs, kept)
        return songs


def corpus_files() -> list[Path]:
    """The files of Bach's works in the installed music21, which is not imported.

    Raises ValueError, with the line that installs it, if music21 or its corpus is missing.
    """
    found = importlib.util.find_spec("music21")
    folder = Path(found.origin).parent / "corpus" / "bach" if found and found.origin else None
    if folder is None or not folder.is_dir():
        raise ValueError("the chorales come with music21: pip install 'multigan[music]'")
    files = (file for file in folder.iterdir() if file.suffix in SUFFIXES)
    return sorted(files, key=lambda file: _number(file.stem))


def satb_songs(files: list[Path]) -> Iterator[tuple[str, Song]]:
    """The name and the four voices of each file that has exactly one part for each of them.

    Other parts (horns, timpani) are left out; so are scores with two sopranos, or with none.
    """
    expected = [voice.name for voice in SATB]
    for file in files:
        song = read_musicxml(file)
        parts = [(track.name.split() or [""])[0].lower() for track in song.tracks]
        if all(parts.count(name) == 1 for name in expected):
            voices = zip(SATB, (song.tracks[parts.index(name)] for name in expected), strict=True)
            tracks = (Track(v.name, track.notes, v.program) for v, track in voices)
            yield file.stem, replace(song, tracks=tuple(tracks))


def split_chorales(songs: Mapping[str, Song]) -> dict[str, dict[str, Song]]:
    """The chorales in "train", "valid" and "test": about 70, 15 and 15 % of the pieces.

    Pieces of one work (BWV number) and pieces with the same soprano in any key fall together, so
    no tune of the test split, note for note, was trained on.
    """
    splits = split_by_hash(_related(songs))
    return {split: {n: songs[n] for n in songs if n in names} for split, names in splits.items()}


def _related(songs: Mapping[str, Song]) -> list[set[str]]:
    """The names in groups: those that share a work or a soprano, directly or by way of others."""
    groups: dict[object, set[str]] = {}  # work or tune -> the group it belongs to
    for name, song in songs.items():
        marks = (_number(name)[0], _tune(song))
        group = {name}.union(*(groups.get(mark, set()) for mark in marks))
        groups |= {mark: group for mark in marks}
        groups |= {mark: group for mark, old in groups.items() if old & group}
    return list({min(group): group for group in groups.values()}.values())


def _tune(song: Song) -> tuple[tuple[int, int, int], ...]:
    """The soprano, in its own key and without its length before and after."""
    notes = song.track("soprano").notes
    return tuple((n[0] - notes[0][0], n[1] - notes[0][0], n[2] - notes[0][2]) for n in notes)


def _number(name: str) -> tuple[int, int, str]:
    """(work, movement, variant) of "bwv248.23-2"."""
    found = BWV.fullmatch(name)
    if found is None:
        raise ValueError(f"a name must have a BWV number, like bwv248.23-2; got {name!r}")
    return int(found[1]), int(found[2] or 0), found[3]


def _fingerprint(files: list[Path]) -> str:
    """Of the names and sizes of the files, and of how we read them."""
    stated = [READING, *((file.name, file.stat().st_size) for file in files)]
    return fingerprint((stated,), size=8)


def check_chorales() -> str:
    """The data set of the default recipe; ValueError with the line that gets it."""

    files = corpus_files()
    return f"{len(files)} files in {files[0].parent}"
