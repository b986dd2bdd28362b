"""Assignment of the tracks of a song to the voices of a layout: by name, by program, by pitch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from statistics import mean
from typing import NamedTuple

from multigan.music.formats.song import Note, Song, Track
from multigan.music.representations.track_names import (
    NAMES,
    all_named,
    best_named,
    best_voice,
    name_match,
)
from multigan.music.representations.voices import ROW_OF_DRUM, TRACK_LAYOUTS, Voice

STRAY_SHARE = 0.05  # of a track's notes: as many may be moved by octaves, each for itself
LEAD_OVERLAP = 0.1  # a lead is one voice: at most this share of its notes begins in another
ACCOMPANIMENT_OVERLAP = 0.5  # at least this share of the notes of several voices does
BASS_MEAN_PITCH = 48  # a nameless track below it is a bass
CHORD_NOTES = 3  # that begin together
CHORD_SHARE = 0.5  # of the onsets of an accompaniment of chords
MELODY_CHORD_SHARE = 0.1  # at most of the onsets of a melody, whose notes may overlap
LABEL_SHARE = 0.95  # of the onsets of a track of chord labels
WRITTEN_VELOCITY_SHARE = 0.8  # of the notes of such a track: those of one velocity


class UnsuitableSong(ValueError):
    """A song that lacks what a layout needs: the reason (one of few), and a detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason} ({detail})")
        self.reason = reason


class TrackAssignment(NamedTuple):
    """A song whose tracks are a layout's voices, and the names of the tracks that play each.

    `left_out` and `changed` count notes by reason.
    """

    song: Song
    assigned_tracks: dict[str, list[str]]
    left_out: Counter[str]
    changed: Counter[str]


def assign_tracks(song: Song, layout: str, leave_out: Collection[str] = ()) -> TrackAssignment:
    """The song with the tracks of `TRACK_LAYOUTS[layout]`, each inside the range of its voice.

    A track that does not fit moves by octaves, and so do single stray notes. A name that all tracks
    have is the song's, as in files of type 0, and says nothing of them. Tracks named in
    `leave_out` and tracks of chord labels are left out.
    Raises UnsuitableSong if a voice has no track or its track does not fit.
    """
    left_out: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    playing = _playing(song, leave_out, left_out)
    chosen = ASSIGNERS[layout](playing)
    tracks = tuple(
        _voiced(voice, chosen.get(voice.name, ()), left_out, changed)
        for voice in TRACK_LAYOUTS[layout]
    )
    used = {id(track) for voice in TRACK_LAYOUTS[layout] for track in chosen.get(voice.name, ())}
    if unused := sum(_size(track) for track in playing if id(track) not in used):
        left_out["in tracks without a voice in the layout"] += unused
    assigned_tracks = {name: [track.name for track in played] for name, played in chosen.items()}
    return TrackAssignment(replace(song, tracks=tracks), assigned_tracks, left_out, changed)


def check_tracks(song: Song, layout: str, leave_out: Collection[str] = ()) -> None:
    """Raise UnsuitableSong where `assign_tracks` would; many times faster."""
    chosen = ASSIGNERS[layout](_playing(song, leave_out, Counter()))
    for voice in TRACK_LAYOUTS[layout]:
        tracks = chosen.get(voice.name, ())
        if not tracks:
            raise UnsuitableSong("lacks a voice", voice.name)
        if voice.kind != "drums":
            _shift(voice, [note for track in tracks for note in track.notes])


def _playing(song: Song, leave_out: Collection[str], left_out: Counter[str]) -> list[Track]:
    """Return the tracks with notes to assign. Raises UnsuitableSong if only drums are left."""
    unwanted = {name.casefold() for name in leave_out}
    playing = []
    for track in (track for track in song.tracks if track.notes):
        if track.name.casefold() in unwanted:
            left_out["in tracks named by --leave-out"] += _size(track)
        else:
            playing.append(track)
    if all(track.is_drum for track in playing):
        raise UnsuitableSong(
            "has drums only", ", ".join(track.name or "no name" for track in playing)
        )
    labels = [track for track in playing if _is_label(track, playing)]
    left_out["of chord labels"] += sum(map(_size, labels))
    left_out += Counter()
    playing = [track for track in playing if track not in labels]
    if len(playing) > 1 and len({track.name for track in playing}) == 1:
        playing = [replace(track, name="") for track in playing]
    return playing


def _is_label(track: Track, tracks: Sequence[Track]) -> bool:
    """Return whether a track of block chords labels an accompaniment that another track plays.

    It is called chords; or nothing, with chords of one velocity that follow each other without a
    gap, in the program of the accompaniment.
    """
    others = [t for t in tracks if t is not track and not t.is_drum]
    if track.is_drum or chord_share(track) < LABEL_SHARE:
        return False
    if "chord" in track.name.casefold() and name_match("chords", track.name) > 0:
        return any(_overlap(other) > LEAD_OVERLAP for other in others)
    accompaniments = [t for t in others if _overlap(t) > ACCOMPANIMENT_OVERLAP]
    return (
        not any(name_match(voice, track.name) for voice in NAMES)
        and any(t.program == track.program for t in accompaniments)
        and _is_written_out(track)
    )


def _is_written_out(track: Track) -> bool:
    """Return whether chords of one velocity end together, each where the next begins."""
    velocities = Counter(note.velocity for note in track.notes)
    spans = sorted({(note.start_tick, note.end_tick) for note in track.notes})
    starts = sorted({start for start, _ in spans})
    joined = sum(a[1] == b[0] for a, b in pairwise(spans))
    return (
        max(velocities.values()) >= WRITTEN_VELOCITY_SHARE * len(track.notes)
        and len(starts) > 1
        and len(starts) >= LABEL_SHARE * len(spans)
        and joined >= LABEL_SHARE * (len(starts) - 1)
    )


def chord_share(track: Track) -> float:
    """Return the share of onsets at which CHORD_NOTES or more notes begin."""
    sizes = [len(list(group)) for _, group in groupby(track.notes, key=lambda n: n.start_tick)]
    return sum(size >= CHORD_NOTES for size in sizes) / len(sizes)


def _voiced(
    voice: Voice, tracks: Sequence[Track], left_out: Counter[str], changed: Counter[str]
) -> Track:
    """The notes of all the tracks as one voice."""
    if not tracks:
        raise UnsuitableSong("lacks a voice", voice.name)
    notes = [note for track in tracks for note in track.notes]
    if voice.kind == "drums":
        fitting = [note for note in notes if note.pitch_midi in ROW_OF_DRUM]
        left_out["of drums without a row"] += len(notes) - len(fitting)
        program = voice.program
    else:
        fitting = _fitted(voice, notes)
        moved = zip(notes, fitting, strict=True)
        changed["moved by octaves into the range of their voice"] += sum(a != b for a, b in moved)
        program = tracks[0].program
    pedal = tuple(sorted(span for track in tracks for span in track.pedal))
    track = Track(voice.name, tuple(fitting), program, voice.kind == "drums", pedal)
    left_out["that sound in two tracks of one voice"] += len(fitting) - len(track.notes)
    if voice.kind == "monophonic":
        cut = sum(a.start_tick < b.start_tick < a.end_tick for a, b in pairwise(track.notes))
        changed["cut where the next note of a monophonic voice begins"] += cut
    for counts in (left_out, changed):
        counts += Counter()
    return track


def _fitted(voice: Voice, notes: Sequence[Note]) -> list[Note]:
    """The notes inside the voice's range: all moved by one number of octaves, strays by more."""
    shift = _shift(voice, notes)
    new = {pitch: _into(voice, pitch + shift) for pitch in {note.pitch_midi for note in notes}}
    return [
        note if new[note.pitch_midi] == note.pitch_midi else note._replace(pitch_midi=new[note[2]])
        for note in notes
    ]


def _shift(voice: Voice, notes: Sequence[Note]) -> int:
    """The octaves, in semitones, that bring most notes into the range of a voice.

    Raises UnsuitableSong if more than STRAY_SHARE of them stay outside.
    """
    pitches = Counter(note.pitch_midi for note in notes)

    def outside(shift: int) -> int:
        fits = range(voice.min_pitch - shift, voice.min_pitch + voice.num_pitches - shift)
        return sum(count for pitch, count in pitches.items() if pitch not in fits)

    shift = min((0, 12, -12, 24, -24), key=outside)
    if (strays := outside(shift)) > STRAY_SHARE * len(notes):
        raise UnsuitableSong("is out of range", f"{voice.name}: {strays} of {len(notes)} notes")
    return shift


def _into(voice: Voice, pitch: int) -> int:
    """The pitch, or the nearest octave of it inside the voice's range."""
    highest = voice.min_pitch + voice.num_pitches - 1
    octaves = range(pitch % 12, 128, 12)
    return min(
        (p for p in octaves if voice.min_pitch <= p <= highest), key=lambda p: abs(p - pitch)
    )


def _singers(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """Soprano, alto, tenor and bass by name; as many others as are missing by their height."""
    pitched = [track for track in tracks if not track.is_drum]
    named = all_named(SINGERS, pitched)
    chosen = {name: [max(found, key=_size)] for name, found in named.items()}
    taken = [id(found[0]) for found in chosen.values()]
    if len(set(taken)) < len(taken):
        chosen, taken = {}, []
    missing = [name for name in SINGERS if name not in chosen]
    free = sorted((t for t in pitched if id(t) not in taken), key=_mean_pitch, reverse=True)
    if missing and len(free) != len(missing):
        raise UnsuitableSong("has not four voices", f"{len(pitched)} pitched tracks")
    return chosen | {name: [track] for name, track in zip(missing, free, strict=False)}


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
    if named := best_voice(BAND_NAMES, track.name):
        return named
    for name, programs in BAND_PROGRAMS.items():
        if track.program in programs:
            return name
    if _mean_pitch(track) < BASS_MEAN_PITCH:
        return "bass"
    return "lead" if _overlap(track) <= LEAD_OVERLAP else "chords"


def _piano(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """All pitched tracks together."""
    return {"piano": [track for track in tracks if not track.is_drum]}


def _melody_and_piano(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """The melody, and all other pitched tracks together."""
    melody = _melody(tracks)
    rest = [track for track in tracks if not track.is_drum and track is not melody]
    if not rest:
        raise UnsuitableSong("has no accompaniment", "1 pitched track")
    return {"melody": [melody], "piano": rest}


def _melody_and_chords(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """The melody, and an accompaniment that is mostly chords."""
    found = _melody_and_piano(tracks)
    chords = found["piano"]
    share = chord_share(Track("", tuple(note for track in chords for note in track.notes)))
    if share < CHORD_SHARE:
        raise UnsuitableSong("has no chords", f"{share:.0%} of the onsets of the accompaniment")
    return {"melody": found["melody"], "chords": chords}


def _melody(tracks: Sequence[Track]) -> Track:
    """The track named melody, else the only lead by program, else the higher of two.

    The higher of two must be one line, or lie over chords.
    Raises UnsuitableSong if there is none.
    """
    pitched = [track for track in tracks if not track.is_drum]
    if named := best_named("melody", pitched):
        return max(named, key=_size)
    lines = [track for track in pitched if _overlap(track) <= LEAD_OVERLAP]
    leads = [track for track in lines if track.program in BAND_PROGRAMS["lead"]]
    if len(leads) == 1:
        return leads[0]
    if len(pitched) == 2:
        lower, higher = sorted(pitched, key=_mean_pitch)
        over_chords = chord_share(lower) >= CHORD_SHARE and _may_be_melody(higher)
        if higher in lines or over_chords:
            return higher
    raise UnsuitableSong("has no melody", f"{len(pitched)} pitched tracks")


def _may_be_melody(track: Track) -> bool:
    """Return whether a track of overlapping notes may be a melody.

    A whole accompaniment is none: it has chords, or notes over others that are held.
    """
    if chord_share(track) > MELODY_CHORD_SHARE:
        return False
    latest, over_held = 0, 0
    for note in track.notes:
        shared = min(latest, note.end_tick) - note.start_tick
        over_held += 2 * shared > note.end_tick - note.start_tick
        latest = max(latest, note.end_tick)
    return over_held <= ACCOMPANIMENT_OVERLAP * len(track.notes)


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
# General MIDI programs, counted from 0.
BAND_PROGRAMS = {
    "bass": range(32, 40),
    "lead": (*range(52, 55), *range(56, 61), *range(64, 88)),  # voices, brass, reeds, pipes, leads
    "chords": (*range(0, 32), *range(40, 52), *range(61, 64), *range(88, 96)),
}
ASSIGNERS: dict[str, Callable[[Sequence[Track]], dict[str, list[Track]]]] = {
    "satb": _singers,
    "band": _band,
    "melody+chords": _melody_and_chords,
    "melody+piano": _melody_and_piano,
    "piano": _piano,
}
