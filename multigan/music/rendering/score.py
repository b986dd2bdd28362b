"""Songs as MusicXML scores, through music21: named parts, bars, ties, chord symbols.

Other programs (MuseScore, Sibelius, Dorico) open them, and `read_musicxml` reads them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigan.music.formats.song import TICKS_PER_QUARTER, Note, Song, Track
from multigan.music.rendering.annotations import song_chords, song_edges
from multigan.music.theory import OCTAVE
from multigan.storage.files import write_atomically

if TYPE_CHECKING:
    from music21 import stream

STEP = TICKS_PER_QUARTER // 24  # ticks: notes are moved to the finest grid
VALUES = tuple(
    quarter * TICKS_PER_QUARTER // part
    for quarter, part in (
        (4, 1), (3, 1), (2, 1), (3, 2), (1, 1), (3, 4), (2, 3), (1, 2), (3, 8), (1, 3), (1, 4),
        (1, 6), (1, 8), (1, 12), (1, 24),
    )
)  # fmt: skip  # ticks of the notes that are written as one, the longest first
ROOTS = ("C", "C#", "D", "E-", "E", "F", "F#", "G", "A-", "A", "B-", "B")  # as music21 spells them
KINDS = ("major", "minor", "dominant", "major-seventh", "minor-seventh", "diminished")
SHARPS = (0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5)  # of the major key of a pitch class
Group = tuple[int, int, tuple[Note, ...]]  # notes that begin and end together


def write_score(song: Song, path: Path) -> Path:
    """Write a MusicXML file; notes are moved to the nearest of 24 steps per quarter.

    Each track is a part of its name. Chord symbols, one for each half bar where it changes, stand
    over the first part.
    """
    from music21 import metadata, stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    score = stream.Score()
    score.insert(0, metadata.Metadata(title=path.stem))
    symbols = dict(song_chords(song))
    for index, track in enumerate(song.tracks):
        score.insert(0, _part(song, track, symbols if index == 0 else {}))
    write_atomically(path, GeneralObjectExporter(score).parse())
    return path


def _part(song: Song, track: Track, symbols: dict[int, int]) -> stream.Part:
    """Return the part of a track, bar by bar."""
    from music21 import harmony, instrument, key, meter, stream, tempo

    part = stream.Part(id=track.name)
    part.partName = track.name
    midi_instrument = instrument.UnpitchedPercussion() if track.is_drum else instrument.Instrument()
    midi_instrument.partName = midi_instrument.instrumentName = track.name
    midi_instrument.midiProgram = track.program
    midi_instrument.midiChannel = 9 if track.is_drum else None
    part.insert(0, midi_instrument)
    groups = _groups(track, song.length_ticks)
    signatures = {signature.start_tick: signature for signature in song.time_signatures}
    edges = song_edges(song)
    for number, (start, end) in enumerate(pairwise(edges), start=1):
        measure = stream.Measure(number=number)
        if start == 0 and song.anacrusis_ticks:
            missing = song.time_signatures[0].bar_ticks - song.anacrusis_ticks
            measure.paddingLeft = missing / TICKS_PER_QUARTER
        if start in signatures:
            measure.insert(0, meter.TimeSignature(
                f"{signatures[start].counts}/{signatures[start].unit}"))  # fmt: skip
        if start == 0:
            if song.key is not None:
                tonic = (song.key.tonic + 3 * song.key.minor) % OCTAVE
                signature = key.KeySignature(SHARPS[tonic])
                measure.insert(0, signature.asKey("minor" if song.key.minor else "major"))
            measure.insert(0, tempo.MetronomeMark(number=round(song.tempo_bpm, 2)))
        for tick in (tick for tick in symbols if start <= tick < end):
            chord = symbols[tick]
            symbol = harmony.ChordSymbol(root=ROOTS[chord % OCTAVE], kind=KINDS[chord // OCTAVE])
            measure.insert(Fraction(tick - start, TICKS_PER_QUARTER), symbol)
        for index, voice in enumerate(_voices(groups, start, end), start=1):
            measure.insert(0, _voice(voice, start, end, index))
        part.append(measure)
    return part


def _groups(track: Track, length: int) -> list[Group]:
    """Return the notes of a track on the grid, those that begin and end together in one group."""
    found: dict[tuple[int, int], dict[int, Note]] = {}
    for note in track.notes:
        start = min(round(note.start_tick / STEP) * STEP, length - STEP)
        end = min(max(round(note.end_tick / STEP) * STEP, start + STEP), length)
        found.setdefault((start, end), {})[note.pitch_midi] = note
    return [(*span, tuple(notes.values())) for span, notes in sorted(found.items())]


def _voices(groups: list[Group], start: int, end: int) -> list[list[Group]]:
    """Return the groups that sound in a bar, in voices whose groups do not overlap."""
    voices: list[list[Group]] = [[]]
    for group in groups:
        if group[0] >= end or group[1] <= start:
            continue
        free = (voice for voice in voices if not voice or voice[-1][1] <= group[0])
        voice = next(free, None)
        if voice is None:
            voices.append(voice := [])
        voice.append(group)
    return voices


def _voice(groups: list[Group], start: int, end: int, number: int) -> stream.Voice:
    """Return a voice that fills a bar with notes and rests."""
    from music21 import chord, note, stream

    voice = stream.Voice(id=str(number))
    now = start
    for first, last, notes in groups:
        for rest in _values(max(first, start) - now):
            voice.append(note.Rest(quarterLength=rest))
        now = max(first, start)
        pieces = list(_values(min(last, end) - now))
        for index, piece in enumerate(pieces):
            pitches = [n.pitch_midi for n in notes]
            element: Any = (
                note.Note(pitches[0], quarterLength=piece)
                if len(pitches) == 1
                else chord.Chord(pitches, quarterLength=piece)
            )
            _tie(element, first < start or index > 0, last > end or index < len(pieces) - 1)
            voice.append(element)
        now = min(last, end)
    for rest in _values(end - now):
        voice.append(note.Rest(quarterLength=rest))
    return voice


def _tie(element: Any, from_before: bool, goes_on: bool) -> None:
    """Tie a note to the one before it, to the one after it, or to both."""
    from music21 import tie

    kind = {(True, True): "continue", (True, False): "stop", (False, True): "start"}
    if (from_before, goes_on) in kind:
        element.tie = tie.Tie(kind[from_before, goes_on])


def _values(ticks: int) -> Iterator[Fraction]:
    """Yield the note values, in quarters, that last so many ticks together."""
    while ticks > 0:
        value = next((v for v in VALUES if v <= ticks), ticks)
        yield Fraction(value, TICKS_PER_QUARTER)
        ticks -= value
