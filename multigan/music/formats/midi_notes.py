"""Tracks of a song from the events of a MIDI file: one voice for each track and channel."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from multigan.music.formats.midi_events import MidiEvents, TrackEvents, to_song_ticks
from multigan.music.formats.song import Note, Track

CHANNELS = 16
DRUM_CHANNEL = 9  # counted from 0
NOTE_OFF, NOTE_ON, CONTROLLER, PROGRAM, PITCH_BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
PEDAL, PEDAL_DOWN = 64, 64  # controller, and the value from which on the pedal is down
SILENCING = (120, 123)  # controllers that end all notes of a channel
TRACK_NAME, INSTRUMENT_NAME, CHANNEL_PREFIX = 0x03, 0x04, 0x20  # types of meta events
NEVER = 1 << 62  # a tick after every other
CENTERED = (0, 64)  # data of a pitch bend of 0


@dataclass
class _Open:
    """A note that sounds: `owed` note-offs are still to come, `end` is the tick of the latest."""

    start: int
    velocity: int
    program: int
    owed: int = 1
    end: int | None = None


@dataclass
class _Channel:
    """State of one channel of one track."""

    program: int = 0
    open: dict[int, _Open] = field(default_factory=dict)  # pitch -> its note
    notes: list[tuple[int, int, int, int]] = field(default_factory=list)  # with velocity
    programs: Counter[int] = field(default_factory=Counter)  # of the notes
    unended: list[tuple[int, int]] = field(default_factory=list)  # index of a note, latest end
    note_offs: list[tuple[int, int]] = field(default_factory=list)  # tick and pitch, without a note
    pedal: list[tuple[int, int]] = field(default_factory=list)
    pedal_down: int | None = None

    def close(self, pitch: int, end: int) -> None:
        """End the note of a pitch."""
        note = self.open.pop(pitch)
        self.notes.append((note.start, end, pitch, note.velocity))
        self.programs[note.program] += 1


def read_tracks(events: MidiEvents, faults: Counter[str]) -> list[Track]:
    """Return a track for each track and channel with notes, in their order; count what is changed.

    A note-off or a pedal may stand on another track than the notes of its channel, but not in
    another sequence of a file of type 2.
    """
    programs = _first_programs(events)
    read = [_read_channels(track, programs, faults) for track in events.tracks]
    parts = [[channels] for channels in read] if events.type == 2 else [read]
    for together in parts:
        for number in range(CHANNELS):
            _join([channels[number] for channels in together if number in channels], faults)
    return [
        _track(_name(track, number), number, channels[number], events.division, faults)
        for track, channels in zip(events.tracks, read, strict=True)
        for number in sorted(channels)
        if channels[number].notes
    ]


def _first_programs(events: MidiEvents) -> dict[int, int]:
    """Return the first program of each channel: it may stand on another track than the notes."""
    found: dict[int, int] = {}
    for track in events.tracks:
        for _, kind, channel, program, _ in track.channel_events:
            if kind == PROGRAM:
                found.setdefault(channel, program)
    return found


def _read_channels(
    track: TrackEvents, programs: dict[int, int], faults: Counter[str]
) -> dict[int, _Channel]:
    """Return the notes and the pedal of each channel of a track."""
    channels: dict[int, _Channel] = {}
    programmed = {event.channel for event in track.channel_events if event.kind == PROGRAM}
    for tick, kind, number, first, second in track.channel_events:
        if number not in channels:
            program = 0 if number in programmed else programs.get(number, 0)
            channels[number] = _Channel(program)
        channel = channels[number]
        if kind == NOTE_ON and second:
            _begin(channel, tick, first, second, faults)
        elif kind in (NOTE_ON, NOTE_OFF):
            _release(channel, tick, first)
        elif kind == PROGRAM:
            channel.program = first
        elif kind == CONTROLLER and first == PEDAL:
            _press(channel, tick, second >= PEDAL_DOWN)
        elif kind == CONTROLLER and first in SILENCING:
            _silence(channel, tick)
        elif kind == CONTROLLER:
            faults["controllers other than the pedal, left out"] += 1
        elif kind != PITCH_BEND:
            faults["pressures, left out"] += 1
        elif (first, second) != CENTERED:
            faults["pitch bends, left out"] += 1
    for channel in channels.values():
        _end(channel, track.end_tick)
    return channels


def _begin(channel: _Channel, tick: int, pitch: int, velocity: int, faults: Counter[str]) -> None:
    """Begin a note; one of its pitch that still sounds ends here."""
    older = channel.open.get(pitch)
    owed = 1
    if older is not None and older.end is not None:
        channel.close(pitch, older.end)
    elif older is not None and older.start == tick:
        faults["notes at the tick of another of their pitch, left out"] += 1
        velocity, owed = max(velocity, older.velocity), older.owed + 1
    elif older is not None:
        channel.unended.append((len(channel.notes), tick))
        channel.close(pitch, tick)
        owed = older.owed + 1
    channel.open[pitch] = _Open(tick, velocity, channel.program, owed)


def _release(channel: _Channel, tick: int, pitch: int) -> None:
    """Note the end of a note; it holds until the last of the note-offs that are owed."""
    note = channel.open.get(pitch)
    if note is None:
        channel.note_offs.append((tick, pitch))
        return
    note.owed -= 1
    note.end = tick
    if not note.owed:
        channel.close(pitch, tick)


def _silence(channel: _Channel, tick: int) -> None:
    """End all that sounds in a channel."""
    for pitch, note in list(channel.open.items()):
        channel.close(pitch, tick if note.end is None else note.end)


def _press(channel: _Channel, tick: int, is_down: bool) -> None:
    if is_down and channel.pedal_down is None:
        channel.pedal_down = tick
    elif not is_down and channel.pedal_down is not None:
        channel.pedal.append((channel.pedal_down, tick))
        channel.pedal_down = None


def _end(channel: _Channel, end_tick: int) -> None:
    """End all that still sounds with the track."""
    for pitch, note in list(channel.open.items()):
        if note.end is None:
            channel.unended.append((len(channel.notes), NEVER))
        channel.close(pitch, end_tick if note.end is None else note.end)
    _press(channel, end_tick, False)


def _join(tracks: list[_Channel], faults: Counter[str]) -> None:
    """Give the notes and tracks of one channel the note-offs and the pedal of its other tracks."""
    note_offs: dict[int, list[int]] = defaultdict(list)  # pitch -> ticks
    for tick, pitch in sorted(off for channel in tracks for off in channel.note_offs):
        note_offs[pitch].append(tick)
    for channel in tracks:
        for index, latest in channel.unended:
            start, _, pitch, velocity = channel.notes[index]
            ticks = note_offs[pitch]
            if (at := bisect_right(ticks, start)) < len(ticks) and ticks[at] <= latest:
                channel.notes[index] = (start, ticks.pop(at), pitch, velocity)
                faults["notes that end on another track of their channel"] += 1
            elif latest == NEVER:
                faults["notes without a note-off, ended with their track"] += 1
            else:
                faults["notes that end where their pitch begins again"] += 1
    if left := sum(map(len, note_offs.values())):
        faults["note-offs without a note, left out"] += left
    sounding = next((channel for channel in tracks if channel.notes), None)
    for channel in tracks:
        if channel.pedal and sounding is None:
            faults["pedal in a channel without notes, left out"] += len(channel.pedal)
        elif not channel.notes and sounding is not None:
            sounding.pedal += channel.pedal


def _name(track: TrackEvents, number: int) -> str:
    """Return the name of a channel, else of its track, else of its instrument.

    A channel prefix makes the names after it those of one channel.
    """
    names: dict[tuple[int, int | None], str] = {}
    prefix = None
    for _, kind, data in track.meta_events:
        if kind == CHANNEL_PREFIX:
            prefix = data[0] if data else None
        elif kind in (TRACK_NAME, INSTRUMENT_NAME) and (name := decode_name(data)):
            names.setdefault((kind, prefix), name)
    for channel in (number, None):
        for kind in (TRACK_NAME, INSTRUMENT_NAME):
            if (kind, channel) in names:
                return names[kind, channel]
    return ""


def decode_name(data: bytes) -> str:
    """Return a name without padding: in UTF-8, else in an encoding that its letters are typical of.

    The others are Shift-JIS with kana, words in Cyrillic, Chinese, and MIDI's one-byte characters.
    """
    name = next(
        text
        for encoding, is_typical in NAME_ENCODINGS.items()
        if (text := _decoded(data, encoding)) is not None and is_typical(text)
    )
    return name.strip("\0 ")


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_cyrillic(text: str) -> bool:
    """Return whether all letters but ASCII are Cyrillic, in words of one case or capitalized."""
    words = re.findall(r"[^\W\d_]+", text)
    others = [word for word in words if not word.isascii()]
    one_case = all(word in (word.lower(), word.upper(), word.title()) for word in others)
    return one_case and bool(others) and all(re.fullmatch("[\u0400-\u045f]+", w) for w in others)


# Encoding of a name -> whether a decoded text is typical of it; the first that fits is taken.
NAME_ENCODINGS: dict[str, Callable[[str], bool]] = {
    "utf-8": lambda text: True,
    "cp932": lambda text: re.search("[\u3040-\u30ff]", text) is not None,
    "cp1251": _is_cyrillic,
    "gb2312": lambda text: True,
    "latin1": lambda text: True,
}


def _track(name: str, number: int, channel: _Channel, division: int, faults: Counter[str]) -> Track:
    """Convert the notes of a channel to ticks of a song; a note of 0 ticks keeps one."""

    def ticks(tick: int) -> int:
        return to_song_ticks(tick, division)

    is_drum = number == DRUM_CHANNEL
    program, count = channel.programs.most_common(1)[0]
    if not is_drum and count < len(channel.notes):
        faults["notes in another program than most of their track"] += len(channel.notes) - count
    if instant := sum(start == end for start, end, *_ in channel.notes):
        faults["notes of 0 ticks, made one tick long"] += instant
    notes = tuple(
        Note(start := ticks(note[0]), max(ticks(note[1]), start + 1), *note[2:])
        for note in channel.notes
    )
    pedal = ((ticks(start), ticks(end)) for start, end in sorted(channel.pedal))
    return Track(name, notes, program, is_drum, tuple(span for span in pedal if span[0] < span[1]))
