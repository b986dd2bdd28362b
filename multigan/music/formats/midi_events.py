"""Events of a MIDI file, read tolerantly: an event that makes no sense is left out and counted.

Source: Standard MIDI Files 1.0 (RP-001). Wrappers: RIFF (RMID, RP-029) and MacBinary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from multigan.music.formats.song import TICKS_PER_QUARTER

HEADER, TRACK = b"MThd", b"MTrk"
SEARCHED_BYTES = 4096  # from the beginning of a file on: wrappers are shorter
ASSUMED_TICKS = 480  # per quarter, where the header says 0
MOST_TRACKS = 4096  # of a file; every one costs memory
DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # others have none
SYSEX, META, END_OF_TRACK, TEMPO = (0xF0, 0xF7), 0xFF, 0x2F, 0x51
SMPTE = 0x8000  # divisions from here on count ticks of a frame
DROP_FRAMES = Fraction(30_000, 1001)  # a second, of a film with 29.97


class ChannelEvent(NamedTuple):
    """A channel message: `kind` is the upper half of the status byte, such as 0x90 for note-on."""

    tick: int
    kind: int
    channel: int
    first: int
    second: int


class MetaEvent(NamedTuple):
    """A meta event; `kind` is its type, such as 0x51 for a tempo."""

    tick: int
    kind: int
    data: bytes


@dataclass
class TrackEvents:
    """Events of one track chunk in order, in the file's own ticks."""

    channel_events: list[ChannelEvent] = field(default_factory=list)
    meta_events: list[MetaEvent] = field(default_factory=list)
    end_tick: int = 0


@dataclass
class MidiEvents:
    """Tracks of a file, its header, and the number of each fault that was passed over."""

    type: int
    division: int  # ticks per quarter
    tracks: list[TrackEvents]
    faults: Counter[str]


class NoMidi(ValueError):
    """Bytes that hold no MIDI file: a reason, one of few."""


def to_song_ticks(tick: int, division: int) -> int:
    """Round a tick of `division` per quarter to one of TICKS_PER_QUARTER."""
    return (2 * tick * TICKS_PER_QUARTER + division) // (2 * division)


def parse_midi(content: bytes) -> MidiEvents:
    """Parse the bytes of a MIDI file. Raises NoMidi without a header."""
    faults: Counter[str] = Counter()
    start = content.find(HEADER, 0, SEARCHED_BYTES)
    if start < 0:
        raise NoMidi("is no MIDI file")
    if start:
        faults["bytes before the header, such as a RIFF or MacBinary wrapper"] += 1
    if len(content) < start + 14:
        raise NoMidi("is truncated")
    length = int.from_bytes(content[start + 4 : start + 8], "big")
    type_, stated, division = (
        int.from_bytes(content[start + at : start + at + 2], "big") for at in (8, 10, 12)
    )
    if division == 0:
        division = ASSUMED_TICKS
        faults[f"0 ticks per quarter, read as {ASSUMED_TICKS}"] += 1
    body = start + 8 + length if length >= 6 else start + 14
    tracks = [_Parser(content, *span, faults).track() for span in _chunks(content, body, faults)]
    if type_ == 2 and len(tracks) > 1:
        faults["tracks of a type 2 file, read one after another"] += len(tracks)
        tracks = list(_one_after_another(tracks))
    if division >= SMPTE:
        faults["SMPTE timing, read at 120 quarters per minute"] += 1
        division, ticks = _smpte(division)
        tracks = [_rescaled(track, ticks) for track in tracks]
    if len(tracks) < stated:
        faults["tracks missing from the file"] += stated - len(tracks)
    elif len(tracks) > stated:
        faults["tracks beyond the number in the header"] += len(tracks) - stated
    return MidiEvents(type_, division, tracks, faults)


def _smpte(division: int) -> tuple[int, int]:
    """Return the ticks of half a second, and of a tick, in the smallest whole numbers.

    A division of SMPTE timing has the negative number of frames per second, and ticks of a frame.
    """
    frames, ticks_per_frame = 0x100 - (division >> 8), division & 0xFF or 1
    rate = DROP_FRAMES if frames == 29 else Fraction(frames)
    quarter = rate * ticks_per_frame / 2
    return quarter.numerator, quarter.denominator


def _rescaled(track: TrackEvents, ticks: int) -> TrackEvents:
    """Return a track of seconds with ticks in the place of each, and without its tempos."""
    return TrackEvents(
        [event._replace(tick=event.tick * ticks) for event in track.channel_events],
        [e._replace(tick=e.tick * ticks) for e in track.meta_events if e.kind != TEMPO],
        track.end_tick * ticks,
    )


def _one_after_another(tracks: list[TrackEvents]) -> Iterator[TrackEvents]:
    """Yield the sequences of a file of type 2, each from the end of the one before on."""
    start = 0
    for track in tracks:
        channel_events = [e._replace(tick=e.tick + start) for e in track.channel_events]
        meta_events = [e._replace(tick=e.tick + start) for e in track.meta_events]
        start += track.end_tick
        yield TrackEvents(channel_events, meta_events, start)


def _chunks(content: bytes, start: int, faults: Counter[str]) -> Iterator[tuple[int, int]]:
    """Yield the first byte and the end of each track; other chunks are passed over."""
    count = 0
    while start + 8 <= len(content) and count < MOST_TRACKS:
        end = start + 8 + int.from_bytes(content[start + 4 : start + 8], "big")
        if content[start : start + 4] == TRACK:
            end = _end_of_track(content, start + 8, end, faults)
            yield start + 8, end
            count += 1
        elif _is_chunk(content, start):
            faults["chunks that are no tracks"] += 1
        else:
            end = content.find(TRACK, start)
            if end < 0:
                return  # padding, or the rest of a wrapper
            faults["bytes between the tracks"] += 1
        start = end


def _is_chunk(content: bytes, start: int) -> bool:
    """Return whether a name of four letters and digits and a length inside the file begin here."""
    length = int.from_bytes(content[start + 4 : start + 8], "big")
    return content[start : start + 4].isalnum() and start + 8 + length <= len(content)


def _end_of_track(content: bytes, start: int, stated: int, faults: Counter[str]) -> int:
    """Return the end of a track: as stated where that fits, else before the next one."""
    ends_there = stated == len(content) or content[stated - 3 : stated] == b"\xff\x2f\0"
    if ends_there or content[stated : stated + 4] == TRACK or _is_chunk(content, stated):
        return stated
    faults["track lengths that are wrong"] += 1
    found = content.find(TRACK, start)
    return found if found >= 0 else len(content)


class _Parser:
    """Parser of one track: bytes from `place` to `end`."""

    def __init__(self, content: bytes, place: int, end: int, faults: Counter[str]) -> None:
        self.content, self.place, self.end, self.faults = content, place, end, faults
        self.tick, self.running = 0, 0
        self.events = TrackEvents()

    def track(self) -> TrackEvents:
        """Parse the events up to the end of the track, or as many as are intact."""
        try:
            while self.place < self.end:
                self.tick += self._number()
                if not self._event():
                    break
            else:
                self.faults["tracks without an end, read as far as they go"] += 1
        except EOFError:
            self.faults["truncated tracks, read as far as they go"] += 1
        self.events.end_tick = self.tick
        return self.events

    def _event(self) -> bool:
        """Parse one event; return False for the end of the track."""
        status = self._peek()
        if status == META:
            return self._meta()
        if status in SYSEX:
            self._system_exclusive()
        elif status >= 0xF1:
            self.faults["system messages that do not belong in a file"] += 1
            self._bytes(1 + SYSTEM_DATA_BYTES.get(status, 0))
        elif status >= 0x80:
            self.place += 1
            self.running = status
            self._channel_event()
        elif self.running:
            self._channel_event()
        else:
            self.place += 1
            self.faults["data bytes without a status"] += 1
        return True

    def _channel_event(self) -> None:
        """Parse the data of a channel message; one with data out of range is counted."""
        kind, channel = self.running & 0xF0, self.running & 0x0F
        count = DATA_BYTES[kind]
        data = self._bytes(count)
        first, second = data[0], data[1] if count == 2 else 0
        if kind == 0x90 and first < 0x80 <= second:
            self.faults["velocities out of range, set to 127"] += 1
            second = 127
        elif kind == 0x80:
            second = 0  # the release velocity is not used
        if first >= 0x80 or second >= 0x80:
            self.faults["events with data out of range"] += 1
            return
        self.events.channel_events.append(ChannelEvent(self.tick, kind, channel, first, second))

    def _system_exclusive(self) -> None:
        """Pass over a message of a manufacturer; one that is too long ends at its last byte F7."""
        self.place += 1
        length = self._number()
        if self.place + length > self.end:
            self.faults["system messages of a wrong length"] += 1
            found = self.content.find(b"\xf7", self.place, self.end)
            length = found + 1 - self.place if found >= 0 else self.end - self.place
        self.place += length

    def _meta(self) -> bool:
        """Parse a meta event; return False for the end of the track."""
        self.place += 1
        kind = self._bytes(1)[0]
        data = self._bytes(self._number())
        if kind != END_OF_TRACK:
            self.events.meta_events.append(MetaEvent(self.tick, kind, data))
        elif any(self.content[self.place : self.end]):
            self.faults["tracks with bytes after their end, left out"] += 1
        return kind != END_OF_TRACK

    def _peek(self) -> int:
        if self.place >= self.end:
            raise EOFError
        return self.content[self.place]

    def _bytes(self, count: int) -> bytes:
        """Return the next bytes. Raises EOFError beyond the end of the track."""
        if self.place + count > self.end:
            raise EOFError
        data = self.content[self.place : self.place + count]
        self.place += count
        return data

    def _number(self) -> int:
        """Parse a number of variable length: 7 bits per byte, 4 bytes at most."""
        value = 0
        for _ in range(4):
            byte = self._bytes(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        self.faults["numbers of more than 4 bytes"] += 1
        return value
