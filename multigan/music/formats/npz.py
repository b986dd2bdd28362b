"""Save and load songs as one .npz file, exactly and atomically; split them by hash."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multigan.music.formats.song import (
    KeySignature,
    Note,
    Song,
    TempoChange,
    TimeSignature,
    Track,
)
from multigan.storage.files import parse_json, read_arrays, write_atomically

SPLIT_FRACTIONS = {"train": 0.7, "valid": 0.15, "test": 0.15}  # of the songs


def save_songs(songs: Mapping[str, Song], path: Path) -> None:
    """Write named songs to an .npz file atomically; same songs, same bytes."""
    rows = [
        (s, t, *note)
        for s, song in enumerate(songs.values())
        for t, track in enumerate(song.tracks)
        for note in track.notes
    ]
    header = json.dumps([_header(name, song) for name, song in songs.items()]).encode()
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        notes=np.array(rows, np.int32).reshape(-1, 6),  # song, track, start, end, pitch, velocity
        header=np.frombuffer(header, np.uint8),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def split_by_hash(groups: Iterable[Iterable[str]]) -> dict[str, set[str]]:
    """Split names into "train", "valid" and "test" by SPLIT_FRACTIONS, keeping groups together.

    The order is a hash of each group's first name, so it is independent of the input order. Of
    three groups or more every split gets one.
    """
    sets = sorted((set(group) for group in groups), key=_shuffled)
    count = sum(map(len, sets))
    splits: dict[str, set[str]] = {name: set() for name in SPLIT_FRACTIONS}
    for group in sets:
        lacking = {
            name: SPLIT_FRACTIONS[name] * count - len(splits[name]) for name in SPLIT_FRACTIONS
        }
        splits[max(lacking, key=lambda name: lacking[name])] |= group
    if len(sets) >= len(SPLIT_FRACTIONS) and not all(
        splits.values()
    ):  # 3 or 4: their shares are below 1
        *most, valid, test = sets
        return {"train": set().union(*most), "valid": valid, "test": test}
    return splits


def load_songs(path: Path) -> dict[str, Song]:
    """Load the songs of an .npz file, in the order in which they were saved.

    Raises ValueError in one line if the file is missing, damaged, or none of ours.
    """
    try:
        arrays = read_arrays(path)
        rows, header = arrays["notes"].tolist(), arrays["header"].tobytes()
        songs = parse_json(header)
        notes: list[list[list[Note]]] = [[[] for _ in song["tracks"]] for song in songs]
        for song, track, *note in rows:
            notes[song][track].append(Note(*note))
        return {s["name"]: _song(s, n) for s, n in zip(songs, notes, strict=True)}
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} must be a file of songs ({error}); import it again") from error


def _shuffled(group: set[str]) -> bytes:
    return hashlib.blake2b(min(group).encode()).digest()


def _header(name: str, song: Song) -> dict[str, Any]:
    """Return everything but the notes of a song, for JSON."""
    return {
        "name": name,
        "tracks": [
            [track.name, track.program, track.is_drum, track.pedal] for track in song.tracks
        ],
        "length_ticks": song.length_ticks,
        "tempo_bpm": song.tempo_bpm,
        "tempo_changes": song.tempo_changes,
        "time_signatures": song.time_signatures,
        "anacrusis_ticks": song.anacrusis_ticks,
        "key": song.key,
    }


def _song(header: dict[str, Any], notes: list[list[Note]]) -> Song:
    tracks = zip(header["tracks"], notes, strict=True)
    return Song(
        tuple(
            Track(name, tuple(n), program, drum, tuple((a, b) for a, b in pedal))
            for (name, program, drum, pedal), n in tracks
        ),
        header["length_ticks"],
        header["tempo_bpm"],
        tuple(TimeSignature(*signature) for signature in header["time_signatures"]),
        header["anacrusis_ticks"],
        None if header["key"] is None else KeySignature(*header["key"]),
        tuple(TempoChange(*change) for change in header["tempo_changes"]),
    )
