"""Songs from MusicXML files (.xml, .musicxml, .mxl), read directly: many times faster than music21.

Repeats and endings are read once, in the order in which they are printed. Source: MusicXML 4.0,
w3.org/2021/06/musicxml40.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, zip_longest
from math import inf, isfinite
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from multigan.music.formats.musicxml_document import read_score
from multigan.music.formats.song import (
    NOTE_VALUES,
    TICKS_PER_QUARTER,
    TICKS_PER_WHOLE,
    KeySignature,
    Note,
    Song,
    TempoChange,
    TimeSignature,
    Track,
)

DEFAULT_TEMPO_BPM = 90.0  # where a file gives none
DRUM_CHANNEL = 10  # counted from 1
FULL_VELOCITY = 90  # of dynamics of 100 percent
MOST_QUARTERS = 20_000  # of a duration
MOST_FIFTHS = 14  # of a key: two signs for each note
MOST_PARTS = 10_000  # of a tick: a finer division is rounded
BEAT_QUARTERS = {"whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 0.5, "16th": 0.25}
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
DAMAGE = (OSError, ElementTree.ParseError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError,
          LookupError, TypeError, ValueError, ArithmeticError)  # fmt: skip


class _Event(NamedTuple):
    """A printed note, in ticks from the start of its measure."""

    start: Fraction
    end: Fraction
    pitch: int
    ties: frozenset[str | None]  # of "stop" (goes on from the note before) and "start"
    velocity: int  # 0 where the score says nothing


class _Measure(NamedTuple):
    """One measure of one part."""

    events: list[_Event]
    ticks: Fraction  # to the furthest point that was reached, not to the last
    counts: int
    unit: int
    tempos: list[tuple[Fraction, float]]  # tick in the measure, quarters per minute
    pedals: list[tuple[Fraction, str]]  # tick in the measure; start, stop or change


class _Bar(NamedTuple):
    """One measure of the score."""

    start: int
    ticks: int
    counts: int
    unit: int

    @property
    def missing(self) -> int:
        """The ticks by which it is shorter than its signature says."""
        return TICKS_PER_WHOLE * self.counts // self.unit - self.ticks


def read_musicxml(path: Path, changes: Counter[str] | None = None) -> Song:
    """The song in a score, one track per part, at sounding pitch, with tempo changes and pedal.

    A short measure and a next one that completes it (as around a repeat sign) are one bar; any
    other irregular measure gets a metre of its own; a short first one is a pickup. A part on MIDI
    channel 10 is a drum track. What is left out, such as grace notes, is counted in `changes`.
    Raises ValueError in one line for a file that is missing, damaged or no score.
    """
    try:
        return _song(read_score(path), Counter() if changes is None else changes)
    except DAMAGE as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read ({what}); export it again") from error


def _song(score: Element, changes: Counter[str]) -> Song:
    stated = {part.get("id"): _Instruments.of(part) for part in score.iter("score-part")}
    parts = score.findall("part")
    instruments = [stated.get(part.get("id"), _Instruments()) for part in parts]
    measures = [
        list(_measures(part, own, changes)) for part, own in zip(parts, instruments, strict=True)
    ]
    if not any(measures):
        raise ValueError("it must have measures; got none")
    bars = list(_bars(measures))
    time_signatures, pickup = _time_signatures(_joined(bars))
    tempos = _tempos(measures, bars)
    if repeats := sum(
        1 for repeat in parts[0].iter("repeat") if repeat.get("direction") != "forward"
    ):
        changes["repeats, read once"] += repeats
    return Song(
        tuple(
            Track(own.name, tuple(_notes(read, bars)), own.program, own.is_drum, _pedal(read, bars))
            for own, read in zip(instruments, measures, strict=True)
        ),
        length_ticks=bars[-1].start + bars[-1].ticks,
        tempo_bpm=tempos[0].tempo_bpm,
        time_signatures=time_signatures,
        anacrusis_ticks=pickup,
        key=_key(parts[0], changes),
        tempo_changes=tuple(tempos[1:]),
    )


def _tempos(parts: Sequence[list[_Measure]], bars: Sequence[_Bar]) -> list[TempoChange]:
    """The first tempo, which holds from the start on, and the changes after it."""
    stated = {
        bar.start + round(tick): tempo_bpm
        for measures in reversed(parts)
        for measure, bar in zip(measures, bars, strict=False)
        for tick, tempo_bpm in measure.tempos
    }
    tempos = [TempoChange(0, stated[min(stated)] if stated else DEFAULT_TEMPO_BPM)]
    for tick in sorted(stated):
        if stated[tick] != tempos[-1].tempo_bpm:
            tempos.append(TempoChange(tick, stated[tick]))
    return tempos


def _pedal(measures: list[_Measure], bars: Sequence[_Bar]) -> tuple[tuple[int, int], ...]:
    """The spans of the sustain pedal; one without an end holds to the end of the score."""
    spans: list[tuple[int, int]] = []
    down: int | None = None
    for measure, bar in zip(measures, bars, strict=False):
        for tick, kind in measure.pedals:
            now = bar.start + round(tick)
            if down is not None and kind in ("stop", "change"):
                spans.append((down, now))
                down = None
            if kind in ("start", "change") and down is None:
                down = now
    if down is not None:
        spans.append((down, bars[-1].start + bars[-1].ticks))
    return tuple(span for span in spans if span[0] < span[1])


def _key(part: Element, changes: Counter[str]) -> KeySignature | None:
    """The first key signature of a part, as it sounds; later parts do not repeat its mode."""
    found: list[KeySignature] = []
    semitones = 0
    for attributes in part.iter("attributes"):
        semitones = _transposition(attributes, semitones)
        key = attributes.find("key")
        if key is None or key.find("fifths") is None:
            continue
        fifths = _whole(key.findtext("fifths"))
        if fifths is None or abs(fifths) > MOST_FIFTHS:
            changes["key signatures that make no sense, left out"] += 1
            continue
        minor = key.findtext("mode") == "minor"
        found.append(KeySignature((7 * fifths + 9 * minor + semitones) % 12, minor))
    if later := sum(after != before for before, after in pairwise(found)):
        changes["changes of key signature, left out"] += later
    return found[0] if found else None


def _transposition(attributes: Element, before: int) -> int:
    """The semitones from the written to the sounding pitch; a number without sense is 0."""
    transpose = attributes.find("transpose")
    if transpose is None:
        return before
    octaves = _number(transpose.findtext("octave-change"))
    return round(12 * octaves + _number(transpose.findtext("chromatic")))


def _whole(text: str | None) -> int | None:
    """The whole number of a text; None for another text."""
    try:
        return int(text or "")
    except ValueError:
        return None


def _signature(time: Element) -> tuple[int, int] | None:
    """The counts, as in "3+2", and the unit of a time signature; None for one without sense."""
    counts = [_whole(part) for part in time.findtext("beats", "").split("+")]
    unit = _whole(time.findtext("beat-type"))
    known = [count for count in counts if count is not None and count > 0]
    return (sum(known), unit) if known == counts and unit in NOTE_VALUES and unit else None


@dataclass(frozen=True)
class _Instruments:
    """The name of a part and how it plays by MIDI."""

    name: str = ""
    program: int = 0
    is_drum: bool = False
    drums: Mapping[str | None, int] = field(default_factory=dict)  # instrument -> MIDI pitch

    @classmethod
    def of(cls, part: Element) -> _Instruments:
        """Read a score-part."""
        name = part.findtext("part-name") or part.findtext("score-instrument/instrument-name") or ""
        midi = part.findall("midi-instrument")
        programs = [_between(1, m.findtext("midi-program"), 128) for m in midi]
        channels = [_between(1, m.findtext("midi-channel"), 16) for m in midi]
        unpitched = {m.get("id"): _between(1, m.findtext("midi-unpitched"), 128) for m in midi}
        return cls(
            " ".join(name.split()),
            next((program - 1 for program in programs if program), 0),
            DRUM_CHANNEL in channels,
            {name: key - 1 for name, key in unpitched.items() if key},
        )


def _between(low: int, text: str | None, high: int) -> int:
    """The number of a text; 0 for none that is in its range."""
    number = (text or "").strip()
    return int(number) if number.isdecimal() and low <= int(number[:9]) <= high else 0


@dataclass
class _Reader:
    """State of the reader of one part."""

    changes: Counter[str]
    instruments: _Instruments
    divisions: float = 1  # of a quarter
    velocity: int = 0  # by the latest dynamics; 0 where there are none
    transposed: int = 0  # semitones from the written to the sounding pitch
    counts: int = 4
    unit: int = 4
    now: Fraction = Fraction(0)  # ticks from the start of the measure
    begun: Fraction = Fraction(0)  # where the latest note began: its chord begins there too
    furthest: Fraction = Fraction(0)
    events: list[_Event] = field(default_factory=list)
    tempos: list[tuple[Fraction, float]] = field(default_factory=list)
    pedals: list[tuple[Fraction, str]] = field(default_factory=list)

    def duration(self, element: Element) -> Fraction:
        """In ticks; 0 and counted where it is none."""
        try:
            quarters = float(element.findtext("duration", "")) / self.divisions
        except ValueError:
            quarters = inf
        if not 0 <= quarters < MOST_QUARTERS:
            self.changes["durations that make no sense, read as 0"] += 1
            return Fraction(0)
        return Fraction(quarters * TICKS_PER_QUARTER).limit_denominator(MOST_PARTS)

    def attributes(self, element: Element) -> None:
        """Take over what changes: divisions, transposition, time signature."""
        if element.find("divisions") is not None:
            if (divisions := _number(element.findtext("divisions"))) > 0:
                self.divisions = divisions
            else:
                self.changes["divisions that make no sense, left out"] += 1
        self.transposed = _transposition(element, self.transposed)
        time = element.find("time")
        if time is not None and time.find("beats") is not None:
            if (signature := _signature(time)) is not None:
                self.counts, self.unit = signature
            else:
                self.changes["time signatures that make no sense, left out"] += 1

    def note(self, element: Element) -> None:
        """A note or a rest; one of a chord begins with the note before it."""
        if element.find("grace") is not None:
            self.changes["grace notes, left out"] += 1
            return
        if element.find("chord") is None:
            self.begun = self.now
        end = self.begun + self.duration(element)
        if element.find("cue") is not None:
            self.changes["cue notes, left out"] += 1
        elif end > self.begun and (midi := self.pitch(element)) is not None:
            ties = frozenset(tie.get("type") for tie in element.findall("tie"))
            velocity = _velocity(element.get("dynamics"), self.velocity)
            self.events.append(_Event(self.begun, end, midi, ties, velocity))
        self.now = end

    def pitch(self, element: Element) -> int | None:
        """The sounding pitch of a note; None for a rest and for one that has none."""
        pitch, midi = element.find("pitch"), None
        if pitch is not None:
            midi = self.written_pitch(pitch)
            if midi is None or not 0 <= (midi := midi + self.transposed) <= 127:
                self.changes["pitches out of range, left out"] += 1
                return None
        elif element.find("unpitched") is not None:
            instrument = element.find("instrument")
            drums = self.instruments.drums
            name = None if instrument is None else instrument.get("id")
            midi = drums.get(name, min(drums.values()) if len(drums) == 1 else None)
            if midi is None or not self.instruments.is_drum:
                self.changes["notes without pitch, left out"] += 1
                return None
        return midi

    def written_pitch(self, pitch: Element) -> int | None:
        """The pitch as it is written, to the nearest semitone; None for one without sense."""
        step, octave = STEPS.get(pitch.findtext("step", "")), _whole(pitch.findtext("octave"))
        if step is None or octave is None:
            return None
        alter = _number(pitch.findtext("alter"))
        if alter != round(alter):
            self.changes["pitches between two semitones, rounded"] += 1
        return 12 * (octave + 1) + step + round(alter)

    def sound(self, element: Element) -> None:
        """Take over tempo, dynamics and pedal of a direction or a sound."""
        for sound in element.iter("sound"):
            if (tempo := _number(sound.get("tempo"))) > 0:
                self.tempos.append((self.now, tempo))
            self.velocity = _velocity(sound.get("dynamics"), self.velocity)
        if element.find("sound[@tempo]") is None and element.tag == "direction":
            for metronome in element.iter("metronome"):
                if (tempo := _metronome_bpm(metronome)) > 0:
                    self.tempos.append((self.now, tempo))
        self.pedals += [(self.now, pedal.get("type", "")) for pedal in element.iter("pedal")]

    def measure(self, element: Element) -> _Measure:
        """Read one measure."""
        self.now = self.furthest = Fraction(0)
        self.events, self.tempos, self.pedals = [], [], []
        for child in element:
            if child.tag == "note":
                self.note(child)
            elif child.tag == "attributes":
                self.attributes(child)
            elif child.tag in ("backup", "forward"):
                self.now += self.duration(child) * (1 if child.tag == "forward" else -1)
                self.now = max(self.now, Fraction(0))
            elif child.tag in ("direction", "sound"):
                self.sound(child)
            self.furthest = max(self.furthest, self.now)
        return _Measure(
            self.events, self.furthest, self.counts, self.unit, self.tempos, self.pedals
        )


def _measures(
    part: Element, instruments: _Instruments, changes: Counter[str]
) -> Iterator[_Measure]:
    reader = _Reader(changes, instruments)
    for element in part.findall("measure"):
        yield reader.measure(element)


def _number(text: str | None) -> float:
    """The number of a text; 0 for none, or one that is not finite."""
    try:
        number = float(text or "0")
    except ValueError:
        return 0.0
    return number if isfinite(number) else 0.0


def _velocity(percent: str | None, before: int) -> int:
    """The velocity of a percentage; `before` without one."""
    stated = _number(percent)
    return min(max(round(stated * FULL_VELOCITY / 100), 1), 127) if stated > 0 else before


def _metronome_bpm(metronome: Element) -> float:
    """Quarters per minute of a metronome mark of a note value; 0 for another mark."""
    quarters = BEAT_QUARTERS.get(metronome.findtext("beat-unit", ""), 0.0)
    dots = len(metronome.findall("beat-unit-dot"))
    return _number(metronome.findtext("per-minute")) * quarters * (2 - 0.5**dots)


def _bars(parts: Sequence[list[_Measure]]) -> Iterator[_Bar]:
    """The measures of the score: each as long as the longest of the parts has it."""
    start = Fraction(0)
    for column in zip_longest(*parts):
        measures = [measure for measure in column if measure is not None]
        end = start + max(measure.ticks for measure in measures)
        yield _Bar(round(start), round(end) - round(start), *measures[0][2:4])
        start = end


def _joined(bars: list[_Bar]) -> list[_Bar]:
    """The bars, two short ones that complete each other as one."""
    joined: list[_Bar] = []
    for index, bar in enumerate(bars):
        before = joined[-1] if joined else bar
        completes = 0 < before.missing == bar.ticks and bar[2:] == before[2:]
        if index > 1 and completes:
            joined[-1] = before._replace(ticks=before.ticks + bar.ticks)
        else:
            joined.append(bar)
    return joined


def _time_signatures(bars: list[_Bar]) -> tuple[tuple[TimeSignature, ...], int]:
    """The metres whose bar lines are those of the bars, and the ticks of the pickup."""
    pickup = bars[0].ticks if bars[0].missing > 0 and len(bars) > 1 else 0
    time_signatures = [TimeSignature(0, *bars[0][2:])] if pickup else []
    for bar in (bar for bar in bars[1 if pickup else 0 :] if bar.ticks):
        ends_early = bar is bars[-1] and bar.missing > 0
        signature = (bar.counts, bar.unit) if ends_early else _own_signature(bar)
        if not time_signatures or signature != time_signatures[-1][1:]:
            time_signatures.append(TimeSignature(bar.start, *signature))
    if not time_signatures:
        raise ValueError("it must have a measure that is not empty; got none")
    return (time_signatures[0]._replace(start_tick=0), *time_signatures[1:]), pickup


def _own_signature(bar: _Bar) -> tuple[int, int]:
    """(counts, unit) of a bar: as it is signed, or as long as it is."""
    if bar.missing == 0:
        return bar.counts, bar.unit
    units = [u for u in NOTE_VALUES if u >= bar.unit and bar.ticks * u % TICKS_PER_WHOLE == 0]
    if not units:  # of rounded tuplets: the next bar begins where it begins
        return -(-bar.ticks * NOTE_VALUES[-1] // TICKS_PER_WHOLE), NOTE_VALUES[-1]
    return bar.ticks * units[0] // TICKS_PER_WHOLE, units[0]


def _notes(measures: list[_Measure], bars: list[_Bar]) -> Iterator[Note]:
    """The notes of one part, tied ones as one."""
    notes: list[Note] = []
    tied: dict[tuple[int, int], int] = {}  # (pitch, end) of a note that goes on -> its index
    for measure, bar in zip(measures, bars, strict=False):  # a part may end early
        for event in measure.events:
            start, end = bar.start + round(event.start), bar.start + round(event.end)
            before = tied.pop((event.pitch, start), None) if "stop" in event.ties else None
            if before is None:
                before = len(notes)
                notes.append(Note(start, max(end, start + 1), event.pitch, event.velocity))
            else:
                notes[before] = notes[before]._replace(end_tick=end)
            if "start" in event.ties:
                tied[event.pitch, end] = before
    return iter(notes)
