"""Tracks of a song from the events of a MIDI file: one voice for each track and channel."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from multigan.music.formats.midi_events import MidiEvents, TrackEvents, to_song_ticks
from multigan.music.formats.song import Note, Track

DRUM_CHANNEL = 9  # counted from 0
NOTE_OFF, NOTE_ON, CONTROLLER, PROGRAM, PITCH_BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
PEDAL, PEDAL_DOWN = 64, 64  # controller, and the value from which on the pedal is down
TRACK_NAME, INSTRUMENT_NAME = 0x03, 0x04  # types of meta events
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
    pedal: list[tuple[int, int]] = field(default_factory=list)
    pedal_down: int | None = None

    def close(self, pitch: int, end: int) -> None:
        """End the note of a pitch."""
        note = self.open.pop(pitch)
        self.notes.append((note.start, end, pitch, note.velocity))
        self.programs[note.program] += 1


def read_tracks(events: MidiEvents, faults: Counter[str]) -> list[Track]:
    """Return a track for each track and channel with notes, in their order; count what is changed.

    The tracks of a file of type 2 follow one another.
    """
    tracks = []
    offset = 0
    programs = _first_programs(events)
    for track in events.tracks:
        channels = _read_channels(track, programs, faults)
        name = _name(track)
        for number in sorted(channels):
            if channels[number].notes:
                tracks.append(_track(name, number, channels[number], events, offset, faults))
        offset += track.end_tick if events.type == 2 else 0
    if events.type == 2 and len(events.tracks) > 1:
        faults["tracks of a type 2 file, read one after another"] += len(events.tracks)
    return tracks


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
            _release(channel, tick, first, faults)
        elif kind == PROGRAM:
            channel.program = first
        elif kind == CONTROLLER and first == PEDAL:
            _press(channel, tick, second >= PEDAL_DOWN)
        elif kind == CONTROLLER:
            faults["controllers other than the pedal, left out"] += 1
        elif kind != PITCH_BEND:
            faults["pressures, left out"] += 1
        elif (first, second) != CENTERED:
            faults["pitch bends, left out"] += 1
    for channel in channels.values():
        _end(channel, track.end_tick, faults)
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
        faults["notes that end where their pitch begins again"] += 1
        channel.close(pitch, tick)
        owed = older.owed + 1
    channel.open[pitch] = _Open(tick, velocity, channel.program, owed)


def _release(channel: _Channel, tick: int, pitch: int, faults: Counter[str]) -> None:
    """Note the end of a note; it holds until the last of the note-offs that are owed."""
    note = channel.open.get(pitch)
    if note is None:
        faults["note-offs without a note, left out"] += 1
        return
    note.owed -= 1
    note.end = tick
    if not note.owed:
        channel.close(pitch, tick)


def _press(channel: _Channel, tick: int, is_down: bool) -> None:
    if is_down and channel.pedal_down is None:
        channel.pedal_down = tick
    elif not is_down and channel.pedal_down is not None:
        channel.pedal.append((channel.pedal_down, tick))
        channel.pedal_down = None


def _end(channel: _Channel, end_tick: int, faults: Counter[str]) -> None:
    """End all that still sounds with the track."""
    for pitch, note in list(channel.open.items()):
        if note.end is None:
            faults["notes without a note-off, ended with their track"] += 1
        channel.close(pitch, end_tick if note.end is None else note.end)
    _press(channel, end_tick, False)


def _name(track: TrackEvents) -> str:
    """Return the name of a track, else of its instrument."""
    for kind in (TRACK_NAME, INSTRUMENT_NAME):
        for event in track.meta_events:
            if event.kind == kind and (name := decode_name(event.data)):
                return name
    return ""


def decode_name(data: bytes) -> str:
    """Return a name in UTF-8, else in MIDI's one-byte characters, without padding."""
    try:
        return data.decode("utf-8").strip("\0 ")
    except UnicodeDecodeError:
        return data.decode("latin1").strip("\0 ")


def _track(
    name: str, number: int, channel: _Channel, events: MidiEvents, offset: int, faults: Counter[str]
) -> Track:
    """Convert the notes of a channel to ticks of a song; a note of 0 ticks keeps one."""

    def ticks(tick: int) -> int:
        return to_song_ticks(tick + offset, events.division)

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
    pedal = ((ticks(start), ticks(end)) for start, end in channel.pedal)
    return Track(name, notes, program, is_drum, tuple(span for span in pedal if span[0] < span[1]))
