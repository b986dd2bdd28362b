"""Sources of songs: the table of named sources, and the files and folders that one may name.

Every reader returns the songs of the three splits by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from multigan.core.rng import keyed_rng
from multigan.music.datasets.chorales import read_chorales, split_chorales
from multigan.music.datasets.jsb_chorales import VOICES as JSB_VOICES
from multigan.music.datasets.jsb_chorales import read_pieces
from multigan.music.datasets.midi_folder import REPORT, SONGS, load_folder, read_report
from multigan.music.datasets.synthetic_songs import generate_songs
from multigan.music.formats.song import Song
from multigan.music.formats.songs import SUFFIXES
from multigan.music.representations.pianoroll import REST, from_pianoroll
from multigan.music.representations.time_grid import GRIDS
from multigan.music.representations.voices import SATB, TRACK_LAYOUTS

COMPOSED = {"train": 384, "valid": 128, "test": 128}  # songs by rule in each split
FEW = 8  # times fewer songs in a source to try a command with
COMPOSED_BARS = 8  # of each

Splits = Mapping[str, Mapping[str, Song]]


def read_songs(source: str, time_signature: str) -> Splits:
    """The songs of a key of SOURCES, of Jsb16thSeparated.json, or of a folder of imported MIDI.

    `time_signature` matters only to songs that are made for it: the others keep their own.
    Raises ValueError in one line for an unknown source, or one that is missing or damaged.
    """
    if source in SOURCES:
        return SOURCES[source](time_signature)
    path = Path(source)
    if path.suffix == ".json":
        return _read_jsb(path)
    if (path / SONGS).is_file():
        return load_folder(path)
    if path.is_dir() and any(p.suffix.lower() in SUFFIXES for p in path.rglob("*")):
        raise ValueError(
            f"{source}: MIDI files; first run: multigan music import {source} --layout auto "
            "--out data/music; then set --data data/music"
        )
    known = ", ".join(SOURCES)
    raise ValueError(
        f"no music called {source!r}; known: {known}, the path of Jsb16thSeparated.json, a zip of "
        "songs, or a folder made by: multigan music import FOLDER"
    )


class SourceKind(NamedTuple):
    """The layout of the songs of a source, and the steps per quarter that suit them."""

    layout: str = "satb"
    grid: int = 4


def source_kind(source: str) -> SourceKind:
    """The layout and grid of a source: those of the import, for an imported folder."""
    if source in SOURCES:
        return SourceKind(SOURCE_LAYOUTS.get(source, "satb"))
    if not (Path(source) / REPORT).is_file():
        return SourceKind()
    report = read_report(source)
    layout, grid = report["layout"], report.get("grid", 4)
    if layout not in TRACK_LAYOUTS or grid not in GRIDS:
        raise ValueError(f"{source}: layout or grid is unknown; import it again")
    return SourceKind(layout, grid)


def _read_chorales(time_signature: str) -> Splits:
    return split_chorales(read_chorales())


def _read_jsb(path: Path) -> Splits:
    """The pieces of the JSON file as songs in 4/4; a note begins where the pitch changes."""
    assert [voice.name for voice in SATB] == [name.lower() for name in JSB_VOICES]
    read = read_pieces(path)
    try:
        return {
            split: {f"{split} {i}": _song(piece.numpy()) for i, piece in enumerate(pieces)}
            for split, pieces in read.items()
        }
    except ValueError as error:  # a pitch that is out of the range of its voice
        raise ValueError(f"{path}: {error}") from error


def _song(pitches: np.ndarray) -> Song:
    """A piece (T, 4) of MIDI pitches, REST in rests."""
    tokens = []
    for voice, line in zip(SATB, pitches.T.astype(np.int16), strict=True):
        begins = np.diff(line, prepend=np.int16(REST - 1)) != 0
        events = np.where(line == REST, voice.rest, line - voice.min_pitch)
        tokens.append(np.where(begins | (line == REST), events, voice.hold))
    return from_pianoroll(tuple(tokens), SATB)


def _compose(layout: str, fewer: int = 1) -> Callable[[str], Splits]:
    def read(time_signature: str) -> Splits:
        made = {}
        for split, count in COMPOSED.items():
            rng = keyed_rng(0, "composed", layout, time_signature, split)
            songs = generate_songs(
                layout, count // fewer, rng, bars=COMPOSED_BARS, time_signature=time_signature
            )
            made[split] = {f"{split} {i}": found.song for i, found in enumerate(songs)}
        return made

    return read


# The layouts of sources that are not satb.
SOURCE_LAYOUTS = {
    "composed-band": "band",
    "composed-tunes": "melody+chords",
    "composed-pop": "melody+piano",
}
SOURCES: dict[str, Callable[[str], Splits]] = {
    "chorales": _read_chorales,
    "composed": _compose("satb"),
    **{source: _compose(layout) for source, layout in SOURCE_LAYOUTS.items()},
    "composed-few": _compose("satb", FEW),
}
