"""Songs from MusicXML files (.xml, .musicxml, .mxl), read directly: many times faster than music21.

Repeats and endings are read once, in the order in which they are printed. Source: MusicXML 4.0,
w3.org/2021/06/musicxml40.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

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

DEFAULT_TEMPO_BPM = 90.0  # where a file gives none
MOST_BYTES = 64_000_000  # of a score, unpacked
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
DAMAGE = (OSError, ElementTree.ParseError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError,
          LookupError, TypeError, ValueError, ArithmeticError)  # fmt: skip


class _Event(NamedTuple):
    """A printed note, in ticks from the start of its measure."""

    start: Fraction
    end: Fraction
    pitch: int
    ties: frozenset[str | None]  # of "stop" (goes on from the note before) and "start"


class _Measure(NamedTuple):
    """One measure of one part."""

    events: list[_Event]
    ticks: Fraction  # to the furthest point that was reached, not to the last
    counts: int
    unit: int


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
    """The song in a partwise score, one track per part, at sounding pitch; grace notes left out.

    A short measure and a next one that completes it (as around a repeat sign) are one bar; any
    other irregular measure gets a metre of its own; a short first one is a pickup.
    Notes without pitch are left out and counted in `changes`.
    Raises ValueError in one line for a file that is missing, damaged or timewise.
    """
    try:
        score = ElementTree.fromstring(_document(path))
        if score.tag != "score-partwise":
            raise ValueError(f"its root must be <score-partwise>; got <{score.tag}>")
        return _song(score, Counter() if changes is None else changes)
    except DAMAGE as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read ({what}); export it again") from error


def _document(path: Path) -> bytes:
    """The XML of a file, unpacked where it is compressed."""
    _demand_small(path.stat().st_size)
    content = path.read_bytes()
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        scores = [n for n in names if n.endswith(".xml") and not n.startswith("META-INF/")]
        if "META-INF/container.xml" in names:
            container = ElementTree.fromstring(_unpacked(archive, "META-INF/container.xml"))
            roots = [file.get("full-path") for file in container.iter() if file.get("full-path")]
            scores = [root for root in roots if root in names] + scores
        if not scores:
            raise ValueError("the archive holds no score")
        return _unpacked(archive, scores[0])


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    _demand_small(archive.getinfo(name).file_size)
    return archive.read(name)


def _demand_small(size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise ValueError(f"it must have {MOST_BYTES:,} bytes or fewer; got {size_bytes:,}")


def _song(score: Element, changes: Counter[str]) -> Song:
    names = {part.get("id"): part.findtext("part-name") or "" for part in score.iter("score-part")}
    parts = score.findall("part")
    measures = [list(_measures(part, changes)) for part in parts]
    bars = list(_bars(measures))
    time_signatures, pickup = _time_signatures(_joined(bars))
    tempo = next((sound.get("tempo") for sound in score.iter("sound") if sound.get("tempo")), None)
    return Song(
        tuple(
            Track(" ".join(names[part.get("id")].split()), tuple(_notes(read, bars)))
            for part, read in zip(parts, measures, strict=True)
        ),
        length_ticks=bars[-1].start + bars[-1].ticks,
        tempo_bpm=DEFAULT_TEMPO_BPM if tempo is None else float(tempo),
        time_signatures=time_signatures,
        anacrusis_ticks=pickup,
        key=_key(score.find(".//key")),
    )


def _key(key: Element | None) -> KeySignature | None:
    """The key of the first signature in the score; later parts do not repeat its mode."""
    if key is None or key.findtext("fifths") is None:
        return None
    tonic_of_major = 7 * int(key.findtext("fifths", "0"))
    minor = key.findtext("mode") == "minor"
    return KeySignature((tonic_of_major + 9 * minor) % 12, minor)


@dataclass
class _Reader:
    """State of the reader of one part."""

    changes: Counter[str]
    divisions: int = 1  # of a quarter
    transposed: int = 0  # semitones from the written to the sounding pitch
    counts: int = 4
    unit: int = 4
    now: Fraction = Fraction(0)  # ticks from the start of the measure
    begun: Fraction = Fraction(0)  # where the latest note began: its chord begins there too
    furthest: Fraction = Fraction(0)
    events: list[_Event] = field(default_factory=list)

    def duration(self, element: Element) -> Fraction:
        """In ticks."""
        return Fraction(int(element.findtext("duration", "")) * TICKS_PER_QUARTER, self.divisions)

    def attributes(self, element: Element) -> None:
        """Take over what changes: divisions, transposition, time signature."""
        self.divisions = int(element.findtext("divisions", str(self.divisions)))
        transpose, time = element.find("transpose"), element.find("time")
        if transpose is not None:
            octaves = int(transpose.findtext("octave-change", "0"))
            self.transposed = 12 * octaves + int(transpose.findtext("chromatic", "0"))
        if time is not None and time.find("beats") is not None:
            self.counts = sum(map(int, time.findtext("beats", "").split("+")))  # "3+2"
            self.unit = int(time.findtext("beat-type", ""))

    def note(self, element: Element) -> None:
        """A note or a rest; one of a chord begins with the note before it."""
        if element.find("grace") is not None:
            return
        if element.find("chord") is None:
            self.begun = self.now
        end = self.begun + self.duration(element)
        if element.find("unpitched") is not None:
            self.changes["notes without pitch, left out"] += 1
        pitch = element.find("pitch")
        if pitch is not None and element.find("cue") is None and end > self.begun:
            ties = frozenset(tie.get("type") for tie in element.findall("tie"))
            midi = _midi_pitch(pitch) + self.transposed
            self.events.append(_Event(self.begun, end, midi, ties))
        self.now = end

    def measure(self, element: Element) -> _Measure:
        """Read one measure."""
        self.now = self.furthest = Fraction(0)
        self.events = []
        for child in element:
            if child.tag == "note":
                self.note(child)
            elif child.tag == "attributes":
                self.attributes(child)
            elif child.tag in ("backup", "forward"):
                self.now += self.duration(child) * (1 if child.tag == "forward" else -1)
            self.furthest = max(self.furthest, self.now)
        return _Measure(self.events, self.furthest, self.counts, self.unit)


def _measures(part: Element, changes: Counter[str]) -> Iterator[_Measure]:
    reader = _Reader(changes)
    for element in part.findall("measure"):
        yield reader.measure(element)


def _midi_pitch(pitch: Element) -> int:
    step = STEPS[pitch.findtext("step", "")]
    alter = round(float(pitch.findtext("alter", "0")))
    return 12 * (int(pitch.findtext("octave", "")) + 1) + step + alter


def _bars(parts: Sequence[list[_Measure]]) -> Iterator[_Bar]:
    """The measures of the score: each as long as the longest of the parts has it."""
    start = Fraction(0)
    for column in zip_longest(*parts):
        measures = [measure for measure in column if measure is not None]
        end = start + max(measure.ticks for measure in measures)
        yield _Bar(round(start), round(end) - round(start), *measures[0][2:])
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
    for bar in bars[1 if pickup else 0 :]:
        ends_early = bar is bars[-1] and bar.missing > 0
        signature = (bar.counts, bar.unit) if ends_early else _own_signature(bar)
        if not time_signatures or signature != time_signatures[-1][1:]:
            time_signatures.append(TimeSignature(bar.start, *signature))
    return tuple(time_signatures), pickup


def _own_signature(bar: _Bar) -> tuple[int, int]:
    """(counts, unit) of a bar: as it is signed, or as long as it is."""
    if bar.missing == 0:
        return bar.counts, bar.unit
    units = [u for u in NOTE_VALUES if u >= bar.unit and bar.ticks * u % TICKS_PER_WHOLE == 0]
    if not units or not bar.ticks:
        raise ValueError(f"a measure of {bar.ticks / TICKS_PER_QUARTER:g} quarters")
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
                notes.append(Note(start, max(end, start + 1), event.pitch))
            else:
                notes[before] = notes[before]._replace(end_tick=end)
            if "start" in event.ties:
                tied[event.pitch, end] = before
    return iter(notes)
