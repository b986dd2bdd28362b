"""A song as a web page plays it: notes in beats, as JSON. A beat is a quarter note."""

from __future__ import annotations

import json
from typing import Any

from multigan.music.formats.song import TICKS_PER_QUARTER, Song, Track, given_spans

MAX_VELOCITY = 127  # the loudest MIDI velocity


def piano_roll(song: Song) -> bytes:
    """One JSON object of a song.

    `tempo_bpm` (beats per minute, the mean), `length_beats`, `beats_per_bar` (of the first time
    signature), `bar_lines` (beats), and `tracks`, each with `name`, `program` (0..127), `drums`,
    `given` (start and end of what was there before the generator, in beats) and `notes`:
    [start_beat, length_beats, pitch_midi, velocity in 0..1].
    """
    given: dict[str, list[list[float]]] = {}
    for stretch in given_spans(song):
        ends = [_beats(stretch.start_tick), _beats(stretch.end_tick)]
        given.setdefault(stretch.track, []).append(ends)
    shown = {
        "tempo_bpm": round(song.mean_tempo_bpm, 2),
        "length_beats": _beats(song.length_ticks),
        "beats_per_bar": _beats(song.time_signatures[0].bar_ticks),
        "bar_lines": [_beats(tick) for tick in song.bar_lines()],
        "tracks": [_track(song, track, given.get(track.name, [])) for track in song.tracks],
    }
    return json.dumps(shown, separators=(",", ":")).encode()


def _track(song: Song, track: Track, given: list[list[float]]) -> dict[str, Any]:
    notes = [
        [
            _beats(note.start_tick),
            _beats(note.end_tick - note.start_tick),
            note.pitch_midi,
            round(song.velocity_of(note) / MAX_VELOCITY, 3),
        ]
        for note in track.notes
    ]
    header = {"name": track.name, "program": track.program, "drums": track.is_drum}
    return header | {"given": given, "notes": notes}


def _beats(ticks: int) -> float:
    return round(ticks / TICKS_PER_QUARTER, 4)
