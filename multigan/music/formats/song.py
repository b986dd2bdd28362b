"""Songs in ticks: notes, tracks, time signatures, keys; completed songs and concatenation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from multigan.music.representations.pianoroll import Roll
    from multigan.music.representations.voices import Voice


TICKS_PER_QUARTER = 480
TICKS_PER_WHOLE = 4 * TICKS_PER_QUARTER
VELOCITY = {"downbeat": 104, "beat": 88, "offbeat": 72}  # MIDI velocities
NOTE_VALUES = (1, 2, 4, 8, 16, 32, 64, 128)  # the note values that a bar may be counted in


class Note(NamedTuple):
    """It sounds from `start_tick` (included) to `end_tick` (not included); 60 is middle C."""

    start_tick: int
    end_tick: int
    pitch_midi: int


class TimeSignature(NamedTuple):
    """A time signature from `start_tick` on: 6/8 has 6 `counts` of the `unit` 8."""

    start_tick: int
    counts: int
    unit: int

    @property
    def bar_ticks(self) -> int:
        """The length of a bar."""
        return TICKS_PER_WHOLE * self.counts // self.unit

    @property
    def beat_ticks(self) -> int:
        """The length of a beat; 6/8, 9/8 and 12/8 are felt in dotted quarters."""
        compound = self.unit >= 8 and self.counts > 3 and self.counts % 3 == 0
        return TICKS_PER_WHOLE // self.unit * (3 if compound else 1)


class KeySignature(NamedTuple):
    """The key signature; `tonic` is a pitch class, 0 is C."""

    tonic: int
    minor: bool = False


@dataclass(frozen=True)
class Track:
    """The notes of one voice or instrument, sorted by start and pitch.

    `program` is the General MIDI instrument 0..127; a drum track's pitches are General MIDI drums.
    No two notes of one pitch overlap: the older one ends where the newer begins, and of two that
    start together the longer stays.
    """

    name: str
    notes: tuple[Note, ...] = ()
    program: int = 0
    is_drum: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a note outside the MIDI range, of no length, or before tick 0."""
        if not 0 <= self.program <= 127:
            raise ValueError(f"track {self.name!r}: program is {self.program}; wanted 0..127")
        for note in self.notes:
            if not (0 <= note.start_tick < note.end_tick and 0 <= note.pitch_midi <= 127):
                raise ValueError(
                    f"track {self.name!r}: {note}; wanted 0 <= start < end and a pitch of 0..127"
                )
        object.__setattr__(self, "notes", tuple(_without_overlaps(self.notes)))

    @property
    def end_tick(self) -> int:
        """Where the last sounding note ends; 0 without notes."""
        return max((note.end_tick for note in self.notes), default=0)


@dataclass(frozen=True)
class Song:
    """Tracks over `length_ticks`, with trailing silence if the last note ends earlier.

    `metres` are in order and the first starts at tick 0; a later one starts a new bar. The first
    bar has only `pickup_ticks` if that is not 0.
    """

    tracks: tuple[Track, ...]
    length_ticks: int
    tempo_bpm: float = 100.0  # quarters per minute
    metres: tuple[TimeSignature, ...] = (TimeSignature(0, 4, 4),)
    pickup_ticks: int = 0
    key: KeySignature | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where the fields contradict each other."""
        end = max((track.end_tick for track in self.tracks), default=0)
        if self.length_ticks < end:
            raise ValueError(f"length is {self.length_ticks} ticks, but a note ends at {end}")
        if not 0 < self.tempo_bpm < inf:
            raise ValueError(f"tempo is {self.tempo_bpm} quarters per minute; wanted more than 0")
        if self.key is not None and not 0 <= self.key.tonic < 12:
            raise ValueError(f"the tonic is {self.key.tonic}; wanted a pitch class 0..11")
        _check_metres(self.metres)
        if not 0 <= self.pickup_ticks < self.metres[0].bar_ticks:
            raise ValueError(
                f"the pickup has {self.pickup_ticks} ticks; wanted fewer than the "
                f"{self.metres[0].bar_ticks} of a bar"
            )

    @property
    def signatures(self) -> list[str]:
        """Its metres as they are written, such as 4/4, each once."""
        return sorted({f"{metre.counts}/{metre.unit}" for metre in self.metres})

    def track(self, name: str) -> Track:
        """The track called `name`. Raises ValueError, listing the known ones, if there is none."""
        for track in self.tracks:
            if track.name == name:
                return track
        known = ", ".join(track.name for track in self.tracks) or "none"
        raise ValueError(f"no track called {name!r}; known: {known}")

    def transpose(self, semitones: int) -> Song:
        """Every pitched note and the key moved by `semitones`; drums stay.

        Raises ValueError if a note would leave the MIDI range 0..127.
        """
        if semitones == 0:
            return self
        tracks = tuple(t if t.is_drum else _transposed(t, semitones) for t in self.tracks)
        key = self.key and KeySignature((self.key.tonic + semitones) % 12, self.key.minor)
        return replace(self, tracks=tracks, key=key)

    def window(self, start_tick: int, end_tick: int) -> Song:
        """What sounds from `start_tick` to `end_tick`, moved to tick 0; notes are cut at the edges.

        Raises ValueError if the window is empty or reaches outside the song.
        """
        if not 0 <= start_tick < end_tick <= self.length_ticks:
            raise ValueError(
                f"the window {start_tick}..{end_tick} does not lie in 0..{self.length_ticks} ticks"
            )
        index = self._metre_at(start_tick)
        rest = [m for m in self.metres[index + 1 :] if m.start_tick < end_tick]
        metres = [m._replace(start_tick=m.start_tick - start_tick) for m in rest]
        return replace(
            self,
            tracks=tuple(_cut(track, start_tick, end_tick) for track in self.tracks),
            length_ticks=end_tick - start_tick,
            metres=(self.metres[index]._replace(start_tick=0), *metres),
            pickup_ticks=-self._bar_position(start_tick) % self.metres[index].bar_ticks,
        )

    def bar_lines(self) -> list[int]:
        """The ticks before the song's end at which full bars begin: a pickup is none."""
        return [
            line
            for first, end, metre in self._segments()
            for line in range(first, end, metre.bar_ticks)
        ]

    def bar_windows(
        self, bars: int, hop: int = 1, metre: tuple[int, int] | None = None
    ) -> list[tuple[int, int]]:
        """The (start, end) ticks of every `hop`-th stretch of `bars` full bars of one metre.

        No window holds a pickup, an incomplete last bar, or a change of metre; only windows in
        `metre`, counts and unit, are listed if it is given.
        Raises ValueError unless both counts are positive.
        """
        if bars < 1 or hop < 1:
            raise ValueError(f"bars is {bars} and hop {hop}; wanted 1 or more of each")
        windows = []
        for first, end, signed in self._segments():
            length = bars * signed.bar_ticks
            starts = range(first, end - length + 1, hop * signed.bar_ticks)
            if metre is None or signed[1:] == tuple(metre):
                windows += [(start, start + length) for start in starts]
        return windows

    def velocity_at(self, tick: int) -> int:
        """How loud a note that starts at `tick` is written: by its place in the bar."""
        position = self._bar_position(tick)
        if position == 0:
            return VELOCITY["downbeat"]
        beat = self.metres[self._metre_at(tick)].beat_ticks
        return VELOCITY["offbeat" if position % beat else "beat"]

    def to_roll(self, voices: Sequence[Voice], steps_per_quarter: int = 4) -> Roll:
        """One array per voice, read from the track of its name; see `roll.to_roll`."""
        from multigan.music.representations.pianoroll import to_pianoroll

        return to_pianoroll(self, voices, steps_per_quarter)

    @classmethod
    def from_roll(
        cls,
        roll: Roll,
        voices: Sequence[Voice],
        steps_per_quarter: int = 4,
        *,
        tempo_bpm: float = 100.0,
        metres: tuple[TimeSignature, ...] = (TimeSignature(0, 4, 4),),
        pickup_ticks: int = 0,
        key: KeySignature | None = None,
    ) -> Song:
        """The song that a roll says, one track per voice; see `roll.from_roll`."""
        from multigan.music.representations.pianoroll import from_pianoroll

        tracks, length = from_pianoroll(roll, voices, steps_per_quarter)
        return cls(tracks, length, tempo_bpm, metres, pickup_ticks, key)

    @classmethod
    def from_midi(cls, path: str | Path) -> Song:
        """Read a MIDI file; see `midi.read_midi`. Raises ValueError in one line if it cannot."""
        from multigan.music.formats.midi import read_midi

        return read_midi(Path(path))

    def to_midi(self, path: str | Path) -> Path:
        """Write a MIDI file and return its path; see `midi.write_midi`."""
        from multigan.music.formats.midi import write_midi

        return write_midi(self, Path(path))

    def _segments(self) -> Iterator[tuple[int, int, TimeSignature]]:
        """(first bar line, end, metre) of each stretch of one metre."""
        starts = [self.pickup_ticks, *(m.start_tick for m in self.metres[1:])]
        ends = [*(m.start_tick for m in self.metres[1:]), self.length_ticks]
        for start, end, metre in zip(starts, ends, self.metres, strict=True):
            yield start, min(end, self.length_ticks), metre

    def _metre_at(self, tick: int) -> int:
        """The index of the metre in force at `tick`."""
        return bisect_right(self.metres, tick, key=lambda metre: metre.start_tick) - 1

    def _bar_position(self, tick: int) -> int:
        """Ticks from the bar line before `tick`; a pickup counts as the end of a bar."""
        metre = self.metres[index := self._metre_at(tick)]
        first = self.pickup_ticks if index == 0 else metre.start_tick
        return (tick - first) % metre.bar_ticks


def _without_overlaps(notes: Iterable[Note]) -> Iterator[Note]:
    """The notes in order, each pitch's older note cut at its newer one."""
    kept: list[Note | None] = []
    last: dict[int, int] = {}  # pitch -> index of its latest note in `kept`
    for note in sorted(notes, key=lambda n: (n.start_tick, n.pitch_midi, n.end_tick)):
        older = kept[last[note.pitch_midi]] if note.pitch_midi in last else None
        if older is not None and older.end_tick > note.start_tick:
            cut = older._replace(end_tick=note.start_tick)
            kept[last[note.pitch_midi]] = cut if cut.start_tick < cut.end_tick else None
        last[note.pitch_midi] = len(kept)
        kept.append(note)
    return (note for note in kept if note is not None)


def _check_metres(metres: tuple[TimeSignature, ...]) -> None:
    """Raises ValueError unless the metres are countable, in order, and start at tick 0."""
    if not metres or metres[0].start_tick != 0:
        raise ValueError("the first metre must start at tick 0")
    for metre in metres:
        if metre.counts < 1 or metre.unit not in NOTE_VALUES:
            raise ValueError(f"no such metre: {metre.counts}/{metre.unit}")
    if any(b.start_tick <= a.start_tick for a, b in pairwise(metres)):
        raise ValueError("the metres must be in order of their start")


def _transposed(track: Track, semitones: int) -> Track:
    notes = (note._replace(pitch_midi=note.pitch_midi + semitones) for note in track.notes)
    return replace(track, notes=tuple(notes))


def _cut(track: Track, start: int, end: int) -> Track:
    """The notes between two ticks, moved so that `start` becomes 0."""
    inside = (n for n in track.notes if n.start_tick < end and n.end_tick > start)
    notes = (Note(max(n[0], start) - start, min(n[1], end) - start, n[2]) for n in inside)
    return replace(track, notes=tuple(notes))


class GivenSpan(NamedTuple):
    """A stretch of a track, from `start_tick` (included) to `end_tick` (not included)."""

    track: str
    start_tick: int
    end_tick: int


@dataclass(frozen=True)
class CompletedSong(Song):
    """A song that knows which stretches of its tracks were given; a window of it does not."""

    given: tuple[GivenSpan, ...] = ()

    def window(self, start_tick: int, end_tick: int) -> Song:
        """What sounds between two ticks; see `Song.window`."""
        return replace(super().window(start_tick, end_tick), given=())  # type: ignore[call-arg]


def given_spans(song: Song) -> tuple[GivenSpan, ...]:
    """What was given of a song: nothing of one that was drawn or read."""
    return song.given if isinstance(song, CompletedSong) else ()


def concatenate(songs: Sequence[Song]) -> Song:
    """The songs in the metre and tempo of the first, about a bar of silence between them.

    Their bar lines stay bar lines. The tracks are those of the first song; others are left out.
    Raises ValueError if there is no song, or if one lacks a track of the first.
    """
    if not songs:
        raise ValueError("no songs to join; wanted 1 or more")
    first = songs[0]
    bar = first.metres[0].bar_ticks
    starts: list[int] = []
    end = 0
    for song in songs:
        line = -(-(end + bar - first.pickup_ticks) // bar) * bar + first.pickup_ticks
        starts.append(line - song.pickup_ticks if starts else 0)
        end = starts[-1] + song.length_ticks
    tracks = tuple(_joined(track, songs, starts) for track in first.tracks)
    return Song(tracks, end, first.tempo_bpm, first.metres, first.pickup_ticks)


def _joined(track: Track, songs: Sequence[Song], starts: Sequence[int]) -> Track:
    """One track of all the songs."""
    notes = [
        Note(start + note.start_tick, start + note.end_tick, note.pitch_midi)
        for song, start in zip(songs, starts, strict=True)
        for note in song.track(track.name).notes
    ]
    return replace(track, notes=tuple(notes))
