"""Several songs one after the other, to be heard in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from multigan.music.song import Note, Song, Track


def joined(songs: Sequence[Song]) -> Song:
    """The songs in the metre and tempo of the first, about a bar of silence between them.

    Their bar lines stay bar lines. The tracks are those of the first song; others are left out.
    Raises ValueError if there is no song, or if one lacks a track of the first.
    """
    if not songs:
        raise ValueError("no songs to join; wanted 1 or more")
    first = songs[0]
    bar = first.metres[0].bar_ticks
    starts: list[int] = []
    end = 0
    for song in songs:
        line = -(-(end + bar - first.pickup_ticks) // bar) * bar + first.pickup_ticks
        starts.append(line - song.pickup_ticks if starts else 0)
        end = starts[-1] + song.length_ticks
    tracks = tuple(_joined(track, songs, starts) for track in first.tracks)
    return Song(tracks, end, first.tempo_bpm, first.metres, first.pickup_ticks)


def _joined(track: Track, songs: Sequence[Song], starts: Sequence[int]) -> Track:
    """One track of all the songs."""
    notes = [
        Note(start + note.start_tick, start + note.end_tick, note.pitch_midi)
        for song, start in zip(songs, starts, strict=True)
        for note in song.track(track.name).notes
    ]
    return replace(track, notes=tuple(notes))
