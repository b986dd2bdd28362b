"""MIDI files that cannot be used: name -> (bytes, the reason of the error)."""

import io

import mido

NOTES = [
    mido.Message("note_on", note=60, velocity=64, time=0),
    mido.Message("note_off", note=60, time=480),
]


def midi_bytes(*tracks, type=1, ticks_per_beat=480):
    """A file of these tracks, each a list of messages."""
    file = mido.MidiFile(
        type=type, ticks_per_beat=ticks_per_beat, tracks=[mido.MidiTrack(t) for t in tracks]
    )
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def header(content, type=1, tracks=1, division=480):
    """The same file with another header."""
    fields = b"".join(v.to_bytes(2, "big", signed=v < 0) for v in (type, tracks, division))
    return b"MThd\0\0\0\6" + fields + content[14:]


def track(data):
    """A file with one track of these raw bytes."""
    chunk = b"MTrk" + len(data).to_bytes(4, "big") + data
    return header(b" " * 14 + chunk)


GOOD = midi_bytes(NOTES)
LONG_PAUSE = mido.Message("note_on", note=60, velocity=64, time=20_000_000)

DAMAGED = {
    "empty": (b"", "is empty"),
    "text": (b"dear diary, today I composed", "is no MIDI file"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "is no MIDI file"),
    "header-only": (GOOD[:10], "is truncated"),
    "cut": (GOOD[:24], "is damaged"),
    "cut-name": (GOOD[:18], "is damaged"),
    "missing-track": (header(b" " * 14, tracks=3), "is damaged"),
    "no-track-chunk": (GOOD.replace(b"MTrk", b"XTrk"), "is damaged"),
    "bad-status": (track(b"\0\x40\x40\x40"), "is damaged"),
    "no-notes": (midi_bytes([mido.MetaMessage("track_name", name="x")]), "has no notes"),
    "no-tracks": (header(b"", tracks=0), "has no notes"),
    "oversized": (midi_bytes([LONG_PAUSE, *NOTES]), "is impossibly long"),
    "days": (
        midi_bytes([LONG_PAUSE.copy(time=600_000), *NOTES], ticks_per_beat=24),
        "is impossibly long",
    ),
}
