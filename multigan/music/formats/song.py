"""Songs in ticks: notes, tracks, time signatures, keys; completed songs and concatenation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import NamedTuple

from multigan.music.theory import OCTAVE

TICKS_PER_QUARTER = 480
TICKS_PER_WHOLE = 4 * TICKS_PER_QUARTER
VELOCITY = {"downbeat": 104, "beat": 88, "offbeat": 72}  # MIDI velocities
NOTE_VALUES = (1, 2, 4, 8, 16, 32, 64, 128)  # denominators of time signatures


class Note(NamedTuple):
    """A note from `start_tick` (included) to `end_tick` (excluded); pitch 60 is middle C.

    `velocity` is 1..127, or 0 for the one that follows from the position in the bar.
    """

    start_tick: int
    end_tick: int
    pitch_midi: int
    velocity: int = 0


class TimeSignature(NamedTuple):
    """A time signature from `start_tick` on: 6/8 has 6 `counts` of the `unit` 8."""

    start_tick: int
    counts: int
    unit: int

    @property
    def bar_ticks(self) -> int:
        """Ticks per bar."""
        return TICKS_PER_WHOLE * self.counts // self.unit

    @property
    def beat_ticks(self) -> int:
        """Ticks per beat: a dotted quarter in 6/8, 9/8 and 12/8."""
        compound = self.unit >= 8 and self.counts > 3 and self.counts % 3 == 0
        return TICKS_PER_WHOLE // self.unit * (3 if compound else 1)


class TempoChange(NamedTuple):
    """A tempo, in quarters per minute, from `tick` on."""

    tick: int
    tempo_bpm: float


class KeySignature(NamedTuple):
    """The key signature; `tonic` is a pitch class, 0 is C."""

    tonic: int
    minor: bool = False


@dataclass(frozen=True)
class Track:
    """The notes of one voice or instrument, sorted by start and pitch.

    `program` is the General MIDI instrument 0..127; a drum track's pitches are General MIDI drums.
    No two notes of one pitch overlap: the older one ends where the newer begins, and of two that
    start together the longer stays. `pedal` holds the (start, end) ticks of the sustain pedal.
    """

    name: str
    notes: tuple[Note, ...] = ()
    program: int = 0
    is_drum: bool = False
    pedal: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a note outside the MIDI range, of no length, or before tick 0."""
        if not 0 <= self.program <= 127:
            raise ValueError(f"track {self.name!r}: program must be 0..127; got {self.program}")
        for note in self.notes:
            if not (0 <= note.start_tick < note.end_tick and 0 <= note.pitch_midi <= 127):
                raise ValueError(
                    f"track {self.name!r}: notes must have 0 <= start < end and a pitch of 0..127; "
                    f"got {note}"
                )
            if not 0 <= note.velocity <= 127:
                raise ValueError(
                    f"track {self.name!r}: velocities must be 0..127; got {note.velocity}"
                )
        object.__setattr__(self, "notes", tuple(_without_overlaps(self.notes)))

    @property
    def end_tick(self) -> int:
        """End of the last sounding note; 0 without notes."""
        return max((note.end_tick for note in self.notes), default=0)


@dataclass(frozen=True)
class Song:
    """Tracks over `length_ticks`, with trailing silence if the last note ends earlier.

    `time_signatures` are in order and the first starts at tick 0; a later one starts a new bar. The
    first bar has only `anacrusis_ticks` if that is not 0. `tempo_bpm` holds until the first of
    `tempo_changes`, which are in order and after tick 0.
    """

    tracks: tuple[Track, ...]
    length_ticks: int
    tempo_bpm: float = 100.0  # quarters per minute
    time_signatures: tuple[TimeSignature, ...] = (TimeSignature(0, 4, 4),)
    anacrusis_ticks: int = 0
    key: KeySignature | None = None
    tempo_changes: tuple[TempoChange, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError where the fields contradict each other."""
        end = max((track.end_tick for track in self.tracks), default=0)
        if self.length_ticks < end:
            raise ValueError(
                f"length_ticks must be {end} or more, where the last note ends; "
                f"got {self.length_ticks}"
            )
        tempos = (TempoChange(0, self.tempo_bpm), *self.tempo_changes)
        for _, tempo_bpm in tempos:
            if not 0 < tempo_bpm < inf:
                raise ValueError(f"tempo_bpm must be more than 0; got {tempo_bpm}")
        if any(b.tick <= a.tick for a, b in pairwise(tempos)):
            raise ValueError("the tempo changes must be in order and after tick 0")
        if self.key is not None and not 0 <= self.key.tonic < OCTAVE:
            raise ValueError(f"the tonic must be a pitch class 0..11; got {self.key.tonic}")
        _check_time_signatures(self.time_signatures)
        if not 0 <= self.anacrusis_ticks < self.time_signatures[0].bar_ticks:
            raise ValueError(
                f"anacrusis_ticks must be 0 or more and less than a bar of "
                f"{self.time_signatures[0].bar_ticks}; got {self.anacrusis_ticks}"
            )

    @property
    def time_signature_names(self) -> list[str]:
        """Time signatures as strings such as 4/4, each once."""
        return sorted(
            {f"{signature.counts}/{signature.unit}" for signature in self.time_signatures}
        )

    @property
    def mean_tempo_bpm(self) -> float:
        """The one tempo at which the song lasts as long as with its tempo changes."""
        if not self.tempo_changes or not self.length_ticks:
            return self.tempo_bpm
        return 60 * self.length_ticks / TICKS_PER_QUARTER / self.seconds_at(self.length_ticks)

    def seconds_at(self, tick: float) -> float:
        """Return the time of a tick in seconds from the start, by all tempo changes."""
        since, tempo_bpm, seconds = self._tempos[
            bisect_right(self._tempos, tick, key=lambda tempo: tempo[0]) - 1
        ]
        return seconds + (tick - since) * 60 / (tempo_bpm * TICKS_PER_QUARTER)

    @cached_property
    def _tempos(self) -> list[tuple[int, float, float]]:
        """Tick, quarters per minute and time in seconds of every tempo."""
        tempos = [(0, self.tempo_bpm, 0.0)]
        for tick, tempo_bpm in self.tempo_changes:
            since, before, seconds = tempos[-1]
            seconds += (tick - since) * 60 / (before * TICKS_PER_QUARTER)
            tempos.append((tick, tempo_bpm, seconds))
        return tempos

    def at_tempo(self, tempo_bpm: float) -> Song:
        """Return the song in one tempo, without tempo changes."""
        return replace(self, tempo_bpm=tempo_bpm, tempo_changes=())

    def track(self, name: str) -> Track:
        """Return the track called `name`; raise ValueError, listing the names, if there is none."""
        for track in self.tracks:
            if track.name == name:
                return track
        names = ", ".join(track.name for track in self.tracks) or "none"
        raise ValueError(f"the track must be one of: {names}; got {name!r}")

    def transpose(self, semitones: int) -> Song:
        """Transpose all pitched notes and the key by `semitones`; drums stay.

        Raises ValueError if a note would leave the MIDI range 0..127.
        """
        if semitones == 0:
            return self
        tracks = tuple(t if t.is_drum else _transposed(t, semitones) for t in self.tracks)
        key = self.key and KeySignature((self.key.tonic + semitones) % OCTAVE, self.key.minor)
        return replace(self, tracks=tracks, key=key)

    def window(self, start_tick: int, end_tick: int) -> Song:
        """Return the music from `start_tick` to `end_tick`, moved to tick 0; notes are cut.

        Raises ValueError if the window is empty or reaches outside the song.
        """
        if not 0 <= start_tick < end_tick <= self.length_ticks:
            raise ValueError(
                f"the window must lie in 0..{self.length_ticks} ticks; got {start_tick}..{end_tick}"
            )
        index = self._signature_at(start_tick)
        rest = [m for m in self.time_signatures[index + 1 :] if m.start_tick < end_tick]
        time_signatures = [m._replace(start_tick=m.start_tick - start_tick) for m in rest]
        before = [change for change in self.tempo_changes if change.tick <= start_tick]
        later = self.tempo_changes[len(before) :]
        return replace(
            self,
            tracks=tuple(_cut(track, start_tick, end_tick) for track in self.tracks),
            length_ticks=end_tick - start_tick,
            time_signatures=(self.time_signatures[index]._replace(start_tick=0), *time_signatures),
            anacrusis_ticks=-self._bar_position(start_tick) % self.time_signatures[index].bar_ticks,
            tempo_bpm=before[-1].tempo_bpm if before else self.tempo_bpm,
            tempo_changes=tuple(
                change._replace(tick=change.tick - start_tick)
                for change in later
                if change.tick < end_tick
            ),
        )

    def bar_lines(self) -> list[int]:
        """Return the ticks before the song's end at which full bars begin: an anacrusis is none."""
        return [
            line
            for first, end, signature in self._segments()
            for line in range(first, end, signature.bar_ticks)
        ]

    def bar_windows(
        self, bars: int, hop: int = 1, time_signature: tuple[int, int] | None = None
    ) -> list[tuple[int, int]]:
        """Return the (start, end) ticks of every `hop`-th window of `bars` full bars.

        No window holds an anacrusis, an incomplete last bar, or a change of time signature. With
        `time_signature`, counts and unit, only windows in it are returned.
        Raises ValueError unless `bars` and `hop` are positive.
        """
        if bars < 1 or hop < 1:
            raise ValueError(f"bars and hop must be 1 or more; got {bars} and {hop}")
        windows = []
        for first, end, signature in self._segments():
            length = bars * signature.bar_ticks
            starts = range(first, end - length + 1, hop * signature.bar_ticks)
            if time_signature is None or signature[1:] == tuple(time_signature):
                windows += [(start, start + length) for start in starts]
        return windows

    def velocity_of(self, note: Note) -> int:
        """Return the MIDI velocity of a note: its own, or the one of its position in the bar."""
        return note.velocity or self.velocity_at(note.start_tick)

    def velocity_at(self, tick: int) -> int:
        """Return the MIDI velocity of a note that starts at `tick`, by its position in the bar."""
        position = self._bar_position(tick)
        if position == 0:
            return VELOCITY["downbeat"]
        beat = self.time_signatures[self._signature_at(tick)].beat_ticks
        return VELOCITY["offbeat" if position % beat else "beat"]

    def _segments(self) -> Iterator[tuple[int, int, TimeSignature]]:
        """Yield (first bar line, end, time signature) of each segment of one time signature."""
        starts = [self.anacrusis_ticks, *(m.start_tick for m in self.time_signatures[1:])]
        ends = [*(m.start_tick for m in self.time_signatures[1:]), self.length_ticks]
        for start, end, signature in zip(starts, ends, self.time_signatures, strict=True):
            yield start, min(end, self.length_ticks), signature

    def _signature_at(self, tick: int) -> int:
        """Return the index of the time signature in force at `tick`."""
        return (
            bisect_right(self.time_signatures, tick, key=lambda signature: signature.start_tick) - 1
        )

    def _bar_position(self, tick: int) -> int:
        """Return the ticks since the last bar line; an anacrusis counts as the end of a bar."""
        signature = self.time_signatures[index := self._signature_at(tick)]
        first = self.anacrusis_ticks if index == 0 else signature.start_tick
        return (tick - first) % signature.bar_ticks


def _without_overlaps(notes: Iterable[Note]) -> Iterator[Note]:
    """Return the notes in order, each pitch's older note cut at its newer one."""
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


def _check_time_signatures(time_signatures: tuple[TimeSignature, ...]) -> None:
    """Raise ValueError unless the time signatures are valid, in order, and start at tick 0."""
    if not time_signatures or time_signatures[0].start_tick != 0:
        raise ValueError("the first time signature must start at tick 0")
    for signature in time_signatures:
        if signature.counts < 1 or signature.unit not in NOTE_VALUES:
            raise ValueError(
                f"a time signature must have 1 or more counts of a unit of {NOTE_VALUES}; "
                f"got {signature.counts}/{signature.unit}"
            )
    if any(b.start_tick <= a.start_tick for a, b in pairwise(time_signatures)):
        raise ValueError("the time signatures must be in order of their start")


def _transposed(track: Track, semitones: int) -> Track:
    notes = (note._replace(pitch_midi=note.pitch_midi + semitones) for note in track.notes)
    return replace(track, notes=tuple(notes))


def _cut(track: Track, start: int, end: int) -> Track:
    """Return the notes between two ticks, moved so that `start` becomes 0."""
    inside = (n for n in track.notes if n.start_tick < end and n.end_tick > start)
    notes = (Note(max(n[0], start) - start, min(n[1], end) - start, *n[2:]) for n in inside)
    pedal = ((max(a, start) - start, min(b, end) - start) for a, b in track.pedal)
    return replace(
        track, notes=tuple(notes), pedal=tuple(span for span in pedal if span[0] < span[1])
    )


class GivenSpan(NamedTuple):
    """An observed span of a track, from `start_tick` (included) to `end_tick` (excluded)."""

    track: str
    start_tick: int
    end_tick: int


@dataclass(frozen=True)
class CompletedSong(Song):
    """A song with the spans that were conditioned on; a window of it has none."""

    given: tuple[GivenSpan, ...] = ()

    def window(self, start_tick: int, end_tick: int) -> Song:
        """Return the music between two ticks; see `Song.window`."""
        return replace(super().window(start_tick, end_tick), given=())  # type: ignore[call-arg]


def given_spans(song: Song) -> tuple[GivenSpan, ...]:
    """Return the observed spans of a song: none of one that was sampled freely or read."""
    return song.given if isinstance(song, CompletedSong) else ()


def concatenate(songs: Sequence[Song]) -> Song:
    """Concatenate songs in the time signature and tempo of the first, about a bar apart.

    Their bar lines stay bar lines. The tracks are those of the first song; others are left out.
    Raises ValueError if there is no song, or if one lacks a track of the first.
    """
    if not songs:
        raise ValueError("concatenate needs 1 song or more; got none")
    first = songs[0]
    bar = first.time_signatures[0].bar_ticks
    starts: list[int] = []
    end = 0
    for song in songs:
        line = -(-(end + bar - first.anacrusis_ticks) // bar) * bar + first.anacrusis_ticks
        starts.append(line - song.anacrusis_ticks if starts else 0)
        end = starts[-1] + song.length_ticks
    tracks = tuple(_concatenated(track, songs, starts) for track in first.tracks)
    return Song(tracks, end, first.tempo_bpm, first.time_signatures, first.anacrusis_ticks)


def _concatenated(track: Track, songs: Sequence[Song], starts: Sequence[int]) -> Track:
    """One track of all the songs."""
    notes = [
        Note(start + note.start_tick, start + note.end_tick, note.pitch_midi, note.velocity)
        for song, start in zip(songs, starts, strict=True)
        for note in song.track(track.name).notes
    ]
    return replace(track, notes=tuple(notes), pedal=())
