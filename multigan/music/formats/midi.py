"""Read and write songs as MIDI files: tracks, time signatures, key, tempo and length.

A MIDI file stores neither the length of a song after its last note, nor silent tracks, nor whether
a short first bar is an anacrusis. A text event (TAG) stores them; other programs ignore it. Files
of other programs are read without it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import pretty_midi
from mido.midifiles.meta import KeySignatureError
from pretty_midi.pretty_midi import MAX_TICK

from multigan.music.formats.song import (
    NOTE_VALUES,
    TICKS_PER_QUARTER,
    TICKS_PER_WHOLE,
    KeySignature,
    Note,
    Song,
    TimeSignature,
    Track,
)
from multigan.storage.files import parse_json

TAG = "multigan"
TEMPO_DIGITS = 2  # MIDI stores whole microseconds per quarter: 84 would come back as 84.000084
MAX_BYTES = 16_000_000  # of a file: many hours of music
PITCHED_CHANNELS = 15  # of the 16, one is the drums'

CONDUCTOR = ("set_tempo", "time_signature", "key_signature")
DAMAGE = (EOFError, OSError, ValueError, LookupError, TypeError, ArithmeticError, KeySignatureError)


class UnreadableMidi(ValueError):
    """A MIDI file that cannot be used: its path, a reason (one of few), a detail and a remedy."""

    def __init__(self, path: Path, reason: str, remedy: str, detail: str = "") -> None:
        message = f"{reason} ({' '.join(detail.split())})" if detail else reason
        super().__init__(f"{path}: {message}; {remedy}")
        self.reason = reason


def read_midi(source: str | Path) -> Song:
    """Read a MIDI file at 480 ticks per quarter; other resolutions are rounded to it.

    Tempo and key are the first ones; where notes of one pitch overlap, the older ends at the newer.
    Without our tag a first bar shorter than those of the next time signature is an anacrusis, and
    the song ends on the first bar line after its last note. Velocities and controllers are
    left out.
    Raises UnreadableMidi, a ValueError of one line, for a file that is missing, empty, truncated,
    damaged, of SMPTE timing or type 2, oversized, or without notes.
    """
    path = Path(source)
    file = _parsed(path)
    _conduct_from_first_track(file)
    try:
        midi = pretty_midi.PrettyMIDI(mido_object=file)
        tag = _tag(midi)
        song = _song(midi, tag)
    except DAMAGE as error:
        detail = str(error) or type(error).__name__
        raise UnreadableMidi(path, "is damaged", "export it again", detail) from error
    if tag is None and not any(track.notes for track in song.tracks):
        raise UnreadableMidi(path, "has no notes", "export the tracks with notes")
    return song


def write_midi(song: Song, path: str | Path) -> Path:
    """Write a type 1 file of 480 ticks per quarter: drums on channel 10, velocity by bar position.

    Raises ValueError for more than 15 pitched tracks: they would share channels and so programs.
    """
    pitched = sum(not track.is_drum for track in song.tracks)
    if pitched > PITCHED_CHANNELS:
        raise ValueError(
            f"{path}: a song must have at most {PITCHED_CHANNELS} pitched tracks; got {pitched}"
        )
    midi = pretty_midi.PrettyMIDI(
        resolution=TICKS_PER_QUARTER,
        initial_tempo=6e7 / (round(6e7 / song.tempo_bpm) + 0.5),  # it rounds microseconds down
    )
    seconds = midi.tick_to_time(1)
    midi.text_events = [pretty_midi.Text(_tag_of(song), 0.0)]
    midi.time_signature_changes = [
        pretty_midi.TimeSignature(counts, unit, tick * seconds)
        for tick, counts, unit in _signatures(song)
    ]
    if song.key is not None:
        number = song.key.tonic + 12 * song.key.minor
        midi.key_signature_changes = [pretty_midi.KeySignature(number, 0.0)]
    drums_last = sorted(song.tracks, key=lambda track: track.is_drum)
    midi.instruments = [_instrument(song, track, seconds) for track in drums_last]
    midi.write(str(path))
    return Path(path)


def _parsed(path: Path) -> mido.MidiFile:
    """Parse the events of a file with a valid header."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        reason = "cannot be read"
        raise UnreadableMidi(path, reason, "check the path", str(error.strerror)) from error
    if size > MAX_BYTES:
        raise UnreadableMidi(path, "is impossibly large", "is it music?", f"{size:,} bytes")
    if not content:
        raise UnreadableMidi(path, "is empty", "export it again")
    if content[:4] != b"MThd":
        raise UnreadableMidi(path, "is no MIDI file", "it must begin with MThd")
    try:
        file = mido.MidiFile(file=io.BytesIO(content))
    except EOFError as error:
        raise UnreadableMidi(path, "is truncated", "copy or export it again") from error
    except DAMAGE as error:
        raise UnreadableMidi(path, "is damaged", "export it again", str(error)) from error
    file.tracks = [track for track in file.tracks if len(track)]
    _check_timing(file, path)
    return file


def _check_timing(file: mido.MidiFile, path: Path) -> None:
    """Raise UnreadableMidi for a file without ticks per beat, or with too many ticks."""
    if file.ticks_per_beat <= 0:
        raise UnreadableMidi(path, "has SMPTE timing", "export it with bars and beats")
    if file.type not in (0, 1):
        raise UnreadableMidi(path, "has tracks that are not in time", "export it as type 1")
    if not file.tracks:
        raise UnreadableMidi(path, "has no notes", "export the tracks with notes")
    longest = max(sum(event.time for event in track) for track in file.tracks)
    if max(longest, longest * TICKS_PER_QUARTER // file.ticks_per_beat) >= MAX_TICK:
        raise UnreadableMidi(path, "is impossibly long", "export it again")


def _conduct_from_first_track(file: mido.MidiFile) -> None:
    """Move tempo and signatures of later tracks, which pretty_midi skips, to the first one."""
    moved = []
    for track in file.tracks[1:]:
        elapsed = since = 0
        found = mido.MidiTrack()
        for index, event in enumerate(track):
            elapsed += event.time
            if event.type in CONDUCTOR:
                found.append(event.copy(time=elapsed - since))
                since = elapsed
                track[index] = mido.MetaMessage("marker", time=event.time)
        moved.append(found)
    if any(moved):
        file.tracks[0] = mido.merge_tracks([file.tracks[0], *moved])


def _song(midi: pretty_midi.PrettyMIDI, tag: dict[str, Any] | None) -> Song:
    """Convert pretty_midi's reading to a song."""
    tracks = _tracks(midi, tag)
    time_signatures, anacrusis = _time_signatures(
        midi, None if tag is None else tag["anacrusis_ticks"]
    )
    last = max((track.end_tick for track in tracks), default=0)
    length = (
        _next_bar_line(time_signatures, anacrusis, last) if tag is None else tag["length_ticks"]
    )
    key = next(iter(midi.key_signature_changes), None)
    return Song(
        tracks,
        max(length, last),
        tempo_bpm=round(float(midi.get_tempo_changes()[1][0]), TEMPO_DIGITS),
        time_signatures=time_signatures,
        anacrusis_ticks=anacrusis,
        key=None
        if key is None
        else KeySignature(int(key.key_number) % 12, bool(key.key_number >= 12)),
    )


def _tracks(midi: pretty_midi.PrettyMIDI, tag: dict[str, Any] | None) -> tuple[Track, ...]:
    """Return the tracks with notes, in the order of the tag, and the silent ones that it names."""
    found = [_track(midi, instrument) for instrument in midi.instruments if instrument.notes]
    tracks = []
    for name, program, is_drum in () if tag is None else tag["tracks"]:
        key = (_latin(name), is_drum)
        index = next((i for i, t in enumerate(found) if (t.name, t.is_drum) == key), None)
        silent = Track(name, (), program, is_drum)
        tracks.append(silent if index is None else replace(found.pop(index), name=name))
    return (*tracks, *found)


def _track(midi: pretty_midi.PrettyMIDI, instrument: pretty_midi.Instrument) -> Track:
    """Convert one instrument; a note that rounds to nothing keeps one tick."""
    notes = []
    for note in instrument.notes:
        start, end = _ticks(midi, note.start), _ticks(midi, note.end)
        notes.append(Note(start, max(end, start + 1), int(note.pitch)))
    program = int(instrument.program)  # numpy's integers break JSON
    return Track(_latin(instrument.name), tuple(notes), program, bool(instrument.is_drum))


def _time_signatures(
    midi: pretty_midi.PrettyMIDI, anacrusis: int | None
) -> tuple[tuple[TimeSignature, ...], int]:
    """Return the time signatures, without repetitions on a bar line, and the anacrusis in ticks.

    With `anacrusis` None, a first bar shorter than that of the next time signature is an anacrusis.
    """
    signed = {_ticks(midi, s.time): s for s in midi.time_signature_changes}  # the last one counts
    time_signatures = [TimeSignature(0, 4, 4)] if 0 not in signed else []
    for tick in sorted(signed):
        signature = TimeSignature(tick, int(signed[tick].numerator), int(signed[tick].denominator))
        before = time_signatures[-1] if time_signatures else signature
        repeats = (
            signature[1:] == before[1:] and (tick - before.start_tick) % signature.bar_ticks == 0
        )
        if not time_signatures or not repeats:
            time_signatures.append(signature)
    short = (
        len(time_signatures) > 1
        and time_signatures[1].start_tick
        == time_signatures[0].bar_ticks
        < time_signatures[1].bar_ticks
    )
    if short and anacrusis in (None, time_signatures[0].bar_ticks):
        return (time_signatures[1]._replace(start_tick=0), *time_signatures[2:]), time_signatures[
            0
        ].bar_ticks
    return tuple(time_signatures), anacrusis or 0


def _signatures(song: Song) -> Iterator[TimeSignature]:
    """Yield the time signatures to write: an anacrusis gets one of its own where possible."""
    first, *others = song.time_signatures
    unit = next(
        (u for u in NOTE_VALUES if u >= first.unit and _is_whole(song.anacrusis_ticks, u)), 0
    )
    crowded = bool(others) and others[0].start_tick <= song.anacrusis_ticks
    if not song.anacrusis_ticks or not unit or crowded:
        yield from song.time_signatures
        return
    yield TimeSignature(0, song.anacrusis_ticks * unit // TICKS_PER_WHOLE, unit)
    yield first._replace(start_tick=song.anacrusis_ticks)
    yield from others


def _is_whole(ticks: int, unit: int) -> bool:
    return ticks * unit % TICKS_PER_WHOLE == 0


def _next_bar_line(time_signatures: tuple[TimeSignature, ...], anacrusis: int, tick: int) -> int:
    """Return the first bar line at `tick` or after it."""
    signature = [m for m in time_signatures if m.start_tick <= tick][-1]
    first = anacrusis if signature.start_tick == 0 else signature.start_tick
    return tick + (first - tick) % signature.bar_ticks


def _ticks(midi: pretty_midi.PrettyMIDI, seconds: float) -> int:
    """Convert a time of pretty_midi back to ticks, exactly."""
    tick = int(midi.time_to_tick(seconds))
    return (2 * tick * TICKS_PER_QUARTER + midi.resolution) // (2 * midi.resolution)


def _instrument(song: Song, track: Track, seconds: float) -> pretty_midi.Instrument:
    """Convert a track at `seconds` per tick."""
    instrument = pretty_midi.Instrument(track.program, track.is_drum, _latin(track.name))
    instrument.notes = [
        pretty_midi.Note(song.velocity_at(start), pitch, start * seconds, end * seconds)
        for start, end, pitch in track.notes
    ]
    return instrument


def _latin(name: str) -> str:
    """Return the name in MIDI's one-byte characters, without the padding of some programs."""
    return name.encode("latin1", "replace").decode("latin1").strip("\0 ")


def _tag_of(song: Song) -> str:
    tracks = [[track.name, track.program, track.is_drum] for track in song.tracks]
    content = {
        "length_ticks": song.length_ticks,
        "anacrusis_ticks": song.anacrusis_ticks,
        "tracks": tracks,
    }
    return json.dumps({TAG: content})


def _tag(midi: pretty_midi.PrettyMIDI) -> dict[str, Any] | None:
    """Parse our text event, if there is one. Raises ValueError or KeyError for damage."""
    for event in midi.text_events:
        if event.text.startswith(f'{{"{TAG}": '):
            tag = parse_json(event.text)[TAG]
            if not 0 <= tag["length_ticks"] < MAX_TICK:
                raise ValueError(
                    f"length_ticks must be below {MAX_TICK}; got {tag['length_ticks']}"
                )
            return tag
    return None
