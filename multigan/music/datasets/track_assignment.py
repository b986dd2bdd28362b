"""Assignment of the tracks of a MIDI file to voices: by name, else by program, else by pitch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import mean
from typing import NamedTuple

from multigan.music.formats.song import Note, Song, Track
from multigan.music.representations.voices import TRACK_LAYOUTS, Voice

STRAY_SHARE = 0.05  # of a track's notes: as many may be moved by octaves, each for itself
LEAD_OVERLAP = 0.1  # a lead is one voice: at most this share of its notes begins in another
BASS_MEAN_PITCH = 48  # a nameless track below it is a bass


class UnsuitableSong(ValueError):
    """A song that has not what a layout needs: why (one of few reasons), and a detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason} ({detail})")
        self.reason = reason


class TrackAssignment(NamedTuple):
    """A song whose tracks are a layout's voices, and the names of the tracks that play each."""

    song: Song
    assigned_tracks: dict[str, list[str]]


def assign_tracks(song: Song, layout: str) -> TrackAssignment:
    """The song with the tracks of `TRACK_LAYOUTS[layout]`, each inside the range of its voice.

    A track that does not fit moves by octaves, and so do single stray notes. A name that all tracks
    have is the song's, as in files of type 0, and says nothing of them.
    Raises UnsuitableSong if a voice has no track or its track does not fit.
    """
    playing = [track for track in song.tracks if track.notes]
    if all(track.is_drum for track in playing):
        raise UnsuitableSong(
            "has drums only", ", ".join(track.name or "no name" for track in playing)
        )
    if len(playing) > 1 and len({track.name for track in playing}) == 1:
        playing = [replace(track, name="") for track in playing]
    chosen = ASSIGNERS[layout](playing)
    tracks = tuple(_voiced(voice, chosen.get(voice.name, ())) for voice in TRACK_LAYOUTS[layout])
    assigned_tracks = {name: [track.name for track in played] for name, played in chosen.items()}
    return TrackAssignment(replace(song, tracks=tracks), assigned_tracks)


def _voiced(voice: Voice, tracks: Sequence[Track]) -> Track:
    """The notes of all the tracks as one voice."""
    if not tracks:
        raise UnsuitableSong("lacks a voice", voice.name)
    is_drum = voice.kind == "drums"
    notes = [note for track in tracks for note in track.notes]
    fitting = notes if is_drum else _fitted(voice, notes)
    program = voice.program if is_drum else tracks[0].program
    return Track(voice.name, tuple(fitting), program, is_drum)


def _fitted(voice: Voice, notes: Sequence[Note]) -> list[Note]:
    """The notes inside the voice's range: all moved by one number of octaves, strays by more."""

    def outside(shift: int) -> int:
        fits = range(voice.min_pitch - shift, voice.min_pitch + voice.num_pitches - shift)
        return sum(note.pitch_midi not in fits for note in notes)

    shift = min((0, 12, -12, 24, -24), key=outside)
    if (strays := outside(shift)) > STRAY_SHARE * len(notes):
        raise UnsuitableSong("is out of range", f"{voice.name}: {strays} of {len(notes)} notes")
    return [n._replace(pitch_midi=_into(voice, n.pitch_midi + shift)) for n in notes]


def _into(voice: Voice, pitch: int) -> int:
    """The pitch, or the nearest octave of it inside the voice's range."""
    highest = voice.min_pitch + voice.num_pitches - 1
    octaves = range(pitch % 12, 128, 12)
    return min(
        (p for p in octaves if voice.min_pitch <= p <= highest), key=lambda p: abs(p - pitch)
    )


def _singers(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """Soprano, alto, tenor and bass by name; else four tracks from the highest to the lowest."""
    pitched = [track for track in tracks if not track.is_drum]
    named = {name: _named(name, pitched) for name in SINGERS}
    if all(named.values()):
        return {name: [max(found, key=_size)] for name, found in named.items()}
    if len(pitched) != len(SINGERS):
        raise UnsuitableSong("has not four voices", f"{len(pitched)} pitched tracks")
    ordered = sorted(pitched, key=_mean_pitch, reverse=True)
    return {name: [track] for name, track in zip(SINGERS, ordered, strict=True)}


def _band(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """Drums, the fullest bass, the fullest lead, and chords from all the others together."""
    roles: dict[str, list[Track]] = {"bass": [], "lead": [], "chords": [], "drums": []}
    for track in tracks:
        roles[_role(track)].append(track)
    for solo in ("bass", "lead"):
        ordered = sorted(roles[solo], key=_size, reverse=True)
        roles[solo] = ordered[:1]
        roles["chords"] += ordered[1:] if solo == "lead" else []  # a second bass is left out
    return roles


def _role(track: Track) -> str:
    """The role of one track in a band."""
    if track.is_drum:
        return "drums"
    for name in BAND_NAMES:
        if _named(name, [track]):
            return name
    for name, programs in BAND_PROGRAMS.items():
        if track.program in programs:
            return name
    if _mean_pitch(track) < BASS_MEAN_PITCH:
        return "bass"
    return "lead" if _overlap(track) <= LEAD_OVERLAP else "chords"


def _piano(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """All pitched tracks together."""
    return {"piano": [track for track in tracks if not track.is_drum]}


def _named(name: str, tracks: Iterable[Track]) -> list[Track]:
    pattern = re.compile(NAMES[name], re.IGNORECASE)
    return [track for track in tracks if pattern.search(track.name)]


def _size(track: Track) -> int:
    return len(track.notes)


def _mean_pitch(track: Track) -> float:
    return mean(note.pitch_midi for note in track.notes)


def _overlap(track: Track) -> float:
    """The share of notes that begin while another sounds."""
    latest, begun_inside = 0, 0
    for note in track.notes:
        begun_inside += note.start_tick < latest
        latest = max(latest, note.end_tick)
    return begun_inside / len(track.notes)


SINGERS = ("soprano", "alto", "tenor", "bass")
BAND_NAMES = ("bass", "lead", "chords")
NAMES = {
    "soprano": r"sopran|cantus|discant|treble|^s\b",
    "alto": r"\balt|^a\b",
    "tenor": r"tenor|^t\b",
    "bass": r"\bbass|\bbaß|^b\b",
    "lead": r"lead|melod|vocal|voice|\bsolo|sing",
    "chords": r"chord|piano|guitar|organ|\bpad\b|string|rhythm|keys",
}
# General MIDI programs, counted from 0.
BAND_PROGRAMS = {
    "bass": range(32, 40),
    "lead": (*range(52, 55), *range(56, 61), *range(64, 88)),  # voices, brass, reeds, pipes, leads
    "chords": (*range(0, 32), *range(40, 52), *range(61, 64), *range(88, 96)),
}
ASSIGNERS: dict[str, Callable[[Sequence[Track]], dict[str, list[Track]]]] = {
    "satb": _singers,
    "band": _band,
    "piano": _piano,
}
