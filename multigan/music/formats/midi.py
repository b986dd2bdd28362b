"""Read and write songs as MIDI files: tracks, signatures, tempos, velocities, pedal and length.

A MIDI file stores neither the length of a song after its last note, nor silent tracks, nor whether
a short first bar is an anacrusis. A text event (TAG) stores them; other programs ignore it. Files
of other programs are read without it.
"""

from __future__ import annotations

import io
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import mido

from multigan.music.formats.midi_events import (
    MetaEvent,
    MidiEvents,
    NoMidi,
    parse_midi,
    to_song_ticks,
)
from multigan.music.formats.midi_notes import DRUM_CHANNEL, PEDAL, read_tracks
from multigan.music.formats.song import (
    NOTE_VALUES,
    TICKS_PER_QUARTER,
    TICKS_PER_WHOLE,
    KeySignature,
    Song,
    TempoChange,
    TimeSignature,
    Track,
)
from multigan.storage.files import parse_json, write_atomically

TAG = "multigan"
TEMPO_DIGITS = 2  # MIDI stores whole microseconds per quarter: 84 would come back as 84.000084
DEFAULT_TEMPO_BPM = 120.0  # of a file without a tempo
SHORTEST_QUARTER_US = 10_000  # a tempo of more than 6,000 quarters per minute makes no sense
MAX_BYTES = 16_000_000  # of a file: many hours of music
MAX_TICK = 10_000_000  # of a song: 20,000 quarters
LATE_TICKS = TICKS_PER_QUARTER // 2  # before which a first tempo or time signature was meant for 0
TEXT, LYRIC, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = 0x01, 0x05, 0x51, 0x58, 0x59  # meta events
PITCHED_CHANNELS = tuple(c for c in range(16) if c != DRUM_CHANNEL)
KEYS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")  # by major tonic
MINOR_KEYS = ("Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm")

Timed = tuple[int, int, mido.Message | mido.MetaMessage]  # tick, rank among those of one tick

DAMAGE = (ValueError, LookupError, TypeError, ArithmeticError)


class UnreadableMidi(ValueError):
    """A MIDI file that cannot be used: its path, a reason (one of few), a detail and a remedy."""

    def __init__(self, path: Path, reason: str, remedy: str, detail: str = "") -> None:
        message = f"{reason} ({' '.join(detail.split())})" if detail else reason
        super().__init__(f"{path}: {message}; {remedy}")
        self.reason = reason


class MidiReading(NamedTuple):
    """A song, and the number of each kind of event that was left out or changed."""

    song: Song
    changes: Counter[str]

    def warn(self, source: str | Path) -> None:
        """Warn, in one line, of all that was left out or changed."""
        if self.changes:
            listed = ", ".join(f"{count:,} {kind}" for kind, count in self.changes.most_common())
            warnings.warn(f"{source}: {listed}", stacklevel=3)


def read_midi(source: str | Path) -> Song:
    """Read a MIDI file at 480 ticks per quarter; a warning counts the events that are changed.

    See `read_midi_counted`.
    """
    reading = read_midi_counted(source)
    reading.warn(source)
    return reading.song


def read_midi_counted(source: str | Path) -> MidiReading:
    """Read a MIDI file at 480 ticks per quarter; other resolutions are rounded to it.

    One track and channel is one voice, whatever programs it plays. An event that makes no sense is
    left out and counted. A note without note-off sounds until it is repeated or its track ends.
    Without our tag a first bar shorter than those of the next time signature is an anacrusis, and
    the song ends on the first bar line after its last note. Controllers but the sustain pedal are
    left out.
    Raises UnreadableMidi, a ValueError of one line, for a file that is missing, empty, without a
    header, oversized, or without notes. SMPTE timing is read at 120 quarters per minute.
    """
    path = Path(source)
    try:
        events = parse_midi(_content(path))
    except NoMidi as error:
        raise UnreadableMidi(path, str(error), "export it again") from error
    faults = events.faults
    tag = _tag(events)
    try:
        song = _song(events, tag)
    except DAMAGE as error:
        if tag is None:
            raise UnreadableMidi(path, "is damaged", "export it again", str(error)) from error
        faults["text events of multigan that are damaged"] += 1
        song = _song(events, tag := None)
    if any(track.end_tick >= MAX_TICK for track in song.tracks):
        raise UnreadableMidi(path, "is impossibly long", "export it again")
    if tag is None and not any(track.notes for track in song.tracks):
        _raise_without_notes(path, faults)
    return MidiReading(song, faults)


def write_midi(song: Song, path: str | Path) -> Path:
    """Write a type 1 file: drums on channel 10, tempo changes, velocities and pedal as in the song.

    More than 15 pitched tracks share the channels of those with their program.
    Raises ValueError for more than 15 programs then.
    """
    channels = _channels(song, path)
    conductor: list[Timed] = [
        (0, 0, mido.MetaMessage("text", text=_tag_of(song))),
        (0, 0, _tempo(song.tempo_bpm)),
        *((change.tick, 0, _tempo(change.tempo_bpm)) for change in song.tempo_changes),
        *(_time_signature(signature) for signature in _signatures(song)),
    ]
    if song.key is not None:
        names = MINOR_KEYS if song.key.minor else KEYS
        conductor.append((0, 0, mido.MetaMessage("key_signature", key=names[song.key.tonic])))
    drums_last = sorted(song.tracks, key=lambda track: track.is_drum)
    tracks = [_messages(song, track, channels) for track in drums_last]
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER, charset="utf-8")
    file.tracks = [_delta(conductor), *map(_delta, tracks)]
    buffer = io.BytesIO()
    file.save(file=buffer)
    write_atomically(Path(path), buffer.getvalue())
    return Path(path)


def _raise_without_notes(path: Path, faults: Counter[str]) -> None:
    """Raise UnreadableMidi: a damaged file, or one that never had notes."""
    losses = [fault for fault in faults if "track" in fault or "data" in fault]
    if losses:
        raise UnreadableMidi(path, "is damaged", "export it again", f"no notes; {losses[0]}")
    raise UnreadableMidi(path, "has no notes", "export the tracks with notes")


def _content(path: Path) -> bytes:
    """Return the bytes of a file. Raises UnreadableMidi for a missing, empty or huge one."""
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
    return content


def _song(events: MidiEvents, tag: dict[str, Any] | None) -> Song:
    """Convert the events to a song."""
    faults: Counter[str] = Counter()
    tracks = _tagged(read_tracks(events, faults), tag)
    metas = sorted(
        (event for track in events.tracks for event in track.meta_events),
        key=lambda event: event.tick,
    )
    tempos = _tempos(metas, events.division, faults)
    time_signatures, anacrusis = _time_signatures(
        _signed(metas, events.division, faults), None if tag is None else tag["anacrusis_ticks"]
    )
    if lyrics := sum(event.kind == LYRIC for event in metas):
        faults["lyrics, left out"] += lyrics
    last = max((track.end_tick for track in tracks), default=0)
    length = (
        _next_bar_line(time_signatures, anacrusis, last) if tag is None else tag["length_ticks"]
    )
    song = Song(
        tracks,
        max(length, last),
        tempos[0].tempo_bpm,
        time_signatures,
        anacrusis,
        _key(metas, faults),
        tuple(tempos[1:]),
    )
    events.faults.update(faults)
    return _without_implied_velocities(song)


def _tagged(found: list[Track], tag: dict[str, Any] | None) -> tuple[Track, ...]:
    """Return the tracks with notes, in the order of the tag, and the silent ones that it names."""
    tracks = []
    for name, program, is_drum in () if tag is None else tag["tracks"]:
        keys = [(name, is_drum), (name.encode("latin1", "replace").decode("latin1"), is_drum)]
        index = next((i for i, t in enumerate(found) if (t.name, t.is_drum) in keys), None)
        silent = Track(name, (), program, is_drum)
        tracks.append(silent if index is None else replace(found.pop(index), name=name))
    return (*tracks, *found)


def _without_implied_velocities(song: Song) -> Song:
    """Return the song without velocities if all of them follow from the position in the bar."""
    notes = [note for track in song.tracks for note in track.notes]
    if any(note.velocity != song.velocity_at(note.start_tick) for note in notes):
        return song
    tracks = (
        replace(track, notes=tuple(note._replace(velocity=0) for note in track.notes))
        for track in song.tracks
    )
    return replace(song, tracks=tuple(tracks))


def _tempos(metas: list[MetaEvent], division: int, faults: Counter[str]) -> list[TempoChange]:
    """Return the tempo at tick 0 and the changes after it.

    A first tempo inside the first eighth holds from the start: programs write it late.
    """
    stated: dict[int, float] = {}  # of several at one tick the last one counts
    for tick, kind, data in metas:
        if kind != TEMPO:
            continue
        microseconds = int.from_bytes(data, "big")
        if len(data) != 3 or microseconds < SHORTEST_QUARTER_US:
            faults["tempos that make no sense, left out"] += 1
        elif (start := to_song_ticks(tick, division)) < MAX_TICK:
            stated[start] = round(6e7 / microseconds, TEMPO_DIGITS)
        else:
            faults["tempos after the longest song, left out"] += 1
    if stated and 0 not in stated and (first := min(stated)) < LATE_TICKS:
        stated[0] = stated.pop(first)
    tempos = [TempoChange(0, stated.pop(0, DEFAULT_TEMPO_BPM))]
    for tick in sorted(stated):
        if stated[tick] != tempos[-1].tempo_bpm:
            tempos.append(TempoChange(tick, stated[tick]))
    return tempos


def _key(metas: list[MetaEvent], faults: Counter[str]) -> KeySignature | None:
    """Return the first key signature that makes sense; others after it are counted."""
    keys = []
    for _, kind, data in metas:
        if kind != KEY_SIGNATURE:
            continue
        fifths = int.from_bytes(data[:1], "big", signed=True)
        if len(data) == 2 and abs(fifths) <= 7 and data[1] <= 1:
            keys.append(KeySignature((7 * fifths + 9 * data[1]) % 12, bool(data[1])))
        else:
            faults["key signatures that make no sense, left out"] += 1
    if changes := sum(after != before for before, after in pairwise(keys)):
        faults["changes of key signature, left out"] += changes
    return keys[0] if keys else None


def _signed(
    metas: list[MetaEvent], division: int, faults: Counter[str]
) -> dict[int, TimeSignature]:
    """Return the time signatures by tick; of several at one tick the last one counts.

    A first one inside the first eighth holds from the start, as a tempo does.
    """
    signed = {}
    for tick, kind, data in metas:
        if kind != TIME_SIGNATURE:
            continue
        if len(data) < 2 or data[0] == 0 or data[1] >= len(NOTE_VALUES):
            faults["time signatures that make no sense, left out"] += 1
        elif (start := to_song_ticks(tick, division)) < MAX_TICK:
            signed[start] = TimeSignature(start, data[0], 2 ** data[1])
        else:
            faults["time signatures after the longest song, left out"] += 1
    if signed and 0 not in signed and (first := min(signed)) < LATE_TICKS:
        signed[0] = signed.pop(first)._replace(start_tick=0)
    return signed


def _time_signatures(
    signed: dict[int, TimeSignature], anacrusis: int | None
) -> tuple[tuple[TimeSignature, ...], int]:
    """Return the time signatures, without repetitions on a bar line, and the anacrusis in ticks.

    With `anacrusis` None, a first bar shorter than that of the next time signature is an anacrusis.
    """
    time_signatures = [TimeSignature(0, 4, 4)] if 0 not in signed else []
    for tick in sorted(signed):
        signature = signed[tick]
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


def _next_bar_line(time_signatures: tuple[TimeSignature, ...], anacrusis: int, tick: int) -> int:
    """Return the first bar line at `tick` or after it."""
    signature = [m for m in time_signatures if m.start_tick <= tick][-1]
    first = anacrusis if signature.start_tick == 0 else signature.start_tick
    return tick + (first - tick) % signature.bar_ticks


def _tag(events: MidiEvents) -> dict[str, Any] | None:
    """Parse our text event, if there is one that is intact."""
    for event in (event for track in events.tracks for event in track.meta_events):
        if event.kind != TEXT or not event.data.startswith(f'{{"{TAG}": '.encode()):
            continue
        try:
            tag: dict[str, Any] = parse_json(event.data)[TAG]
            if 0 <= tag["length_ticks"] < MAX_TICK and tag["anacrusis_ticks"] >= 0:
                return tag
        except DAMAGE:
            pass
        events.faults["text events of multigan that are damaged"] += 1
    return None


def _channels(song: Song, path: str | Path) -> dict[int, int]:
    """Return the channel of each pitched track, by its identity."""
    pitched = [track for track in song.tracks if not track.is_drum]
    if len(pitched) <= len(PITCHED_CHANNELS):
        return {id(track): c for track, c in zip(pitched, PITCHED_CHANNELS, strict=False)}
    programs = sorted({track.program for track in pitched})
    if len(programs) > len(PITCHED_CHANNELS):
        raise ValueError(
            f"{path}: a song must have at most {len(PITCHED_CHANNELS)} pitched programs; "
            f"got {len(programs)}"
        )
    return {id(track): PITCHED_CHANNELS[programs.index(track.program)] for track in pitched}


def _messages(song: Song, track: Track, channels: dict[int, int]) -> list[Timed]:
    """Return the events of a track; of those at one tick, ends come before beginnings."""
    channel = channels.get(id(track), DRUM_CHANNEL)
    timed: list[Timed] = [
        (0, 0, mido.MetaMessage("track_name", name=track.name)),
        (0, 0, mido.Message("program_change", channel=channel, program=track.program)),
    ]
    for note in track.notes:
        for tick, rank, velocity in (
            (note.start_tick, 3, song.velocity_of(note)),
            (note.end_tick, 1, 0),
        ):
            message = mido.Message(
                "note_on", channel=channel, note=note.pitch_midi, velocity=velocity
            )
            timed.append((tick, rank, message))
    for start, end in track.pedal:
        for tick, value in ((start, 127), (end, 0)):
            message = mido.Message("control_change", channel=channel, control=PEDAL, value=value)
            timed.append((tick, 2, message))
    return timed


def _delta(timed: list[Timed]) -> mido.MidiTrack:
    """Return the events in order, each with the ticks since the one before."""
    ordered = sorted(timed, key=lambda item: item[:2])
    ticks = [0, *(tick for tick, _, _ in ordered)]
    messages = (message for _, _, message in ordered)
    return mido.MidiTrack(
        message.copy(time=b - a) for (a, b), message in zip(pairwise(ticks), messages, strict=True)
    )


def _tempo(tempo_bpm: float) -> mido.MetaMessage:
    return mido.MetaMessage("set_tempo", tempo=min(max(round(6e7 / tempo_bpm), 1), 0xFFFFFF))


def _time_signature(signature: TimeSignature) -> Timed:
    message = mido.MetaMessage(
        "time_signature", numerator=signature.counts, denominator=signature.unit
    )
    return signature.start_tick, 0, message


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


def _tag_of(song: Song) -> str:
    tracks = [[track.name, track.program, track.is_drum] for track in song.tracks]
    content = {
        "length_ticks": song.length_ticks,
        "anacrusis_ticks": song.anacrusis_ticks,
        "tracks": tracks,
    }
    return json.dumps({TAG: content})
