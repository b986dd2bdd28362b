"""Reading of a folder of songs: every file with its song, or the reason why it is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from multigan.core.data_counts import MAX_EXAMPLES, printable
from multigan.music.datasets.beat_alignment import (
    BeatAlignment,
    align_beats,
    is_swung,
    swing_ratio,
)
from multigan.music.datasets.beat_tracking import BeatTracking, track_beats
from multigan.music.datasets.track_assignment import (
    TrackAssignment,
    UnsuitableSong,
    assign_tracks,
    check_tracks,
)
from multigan.music.formats.midi import UnreadableMidi
from multigan.music.formats.song import NOTE_VALUES, Song, TimeSignature
from multigan.music.formats.song_archives import NO_SONG, extract_songs, is_archive
from multigan.music.formats.songs import SUFFIXES, is_song, read_song_counted
from multigan.music.representations.bars import read_bars_as, usual_bars
from multigan.music.representations.swing import STRAIGHT, with_swing
from multigan.music.representations.time_grid import GRIDS
from multigan.music.representations.voices import TRACK_LAYOUTS
from multigan.storage.folders import files_below

NO_BEATS = "has live timing without beats"
UNCLEAR_BEATS = "has live timing, and tracked beats hardly better than chance"
ALIGNED = BeatAlignment()
AUTO = "auto"  # the layout that fits
BATCH = 8  # files that a process takes at a time
ENOUGH = 0.9  # of the files of the most general layout: a more particular one is preferred


@dataclass(frozen=True)
class ImportOptions:
    """Requirements for a file to be used."""

    layout: str
    bars: int
    time_signature: tuple[int, int] | None  # counts and unit; None takes all
    grid: int = 4  # steps per quarter
    leave_out: tuple[str, ...] = ()  # names of tracks
    live: bool = False  # track the beats of live timing

    def bars_of(self, song: Song) -> Song:
        """Return the song with its bars read as they are counted."""
        if self.time_signature is None:
            return usual_bars(song)
        return read_bars_as(song, TimeSignature(0, *self.time_signature))

    def windows_of(self, song: Song) -> int:
        """Return the number of windows of a song, one from every bar line on."""
        counted = self.bars_of(song)
        return len(counted.bar_windows(self.bars, time_signature=self.time_signature))


@dataclass(frozen=True)
class FileReading:
    """A file that was read: its song and the layouts that can use it, or a reason."""

    file: str  # relative to the folder
    song: Song | None = None
    windows: int = 0
    changes: dict[str, int] = field(default_factory=dict)  # kind of event -> number
    unsuitable: dict[str, tuple[str, str]] = field(default_factory=dict)  # layout -> why not
    reason: str = ""  # one of few; empty for a file that was read
    line: str = ""  # the explanation, without the path
    alignment: BeatAlignment = ALIGNED
    tracking: BeatTracking | None = None  # of live timing
    swing: float | None = None  # where in a beat its second eighth begins in the file
    is_straightened: bool = False  # swung eighths are even in `song`

    @property
    def layouts(self) -> list[str]:
        """The layouts that can use the song."""
        if self.song is None or not self.windows:
            return []
        return [layout for layout in TRACK_LAYOUTS if layout not in self.unsuitable]


def import_options(
    layout: str, bars: int, time_signature: str, grid: int, leave_out: str, live: bool = False
) -> ImportOptions:
    """Validated options; ValueError for an invalid one."""
    if layout != AUTO and layout not in TRACK_LAYOUTS:
        known = ", ".join((*TRACK_LAYOUTS, AUTO))
        raise ValueError(f"layout must be one of {known}; got {layout!r}")
    if bars < 1:
        raise ValueError(f"bars must be 1 or more; got {bars}")
    counts, _, unit = time_signature.partition("/")
    is_valid = counts.isdecimal() and unit.isdecimal()
    if time_signature != "any" and not (is_valid and int(counts) > 0 and int(unit) in NOTE_VALUES):
        raise ValueError(
            f"time_signature must be any, or such as 4/4 or 6/8; got {time_signature!r}"
        )
    if grid not in GRIDS:
        raise ValueError(
            f"grid must be one of {', '.join(map(str, GRIDS))} steps per quarter; got {grid}"
        )
    names = tuple(name.strip() for name in leave_out.split(",") if name.strip())
    signature = None if time_signature == "any" else (int(counts), int(unit))
    return ImportOptions(layout, bars, signature, grid, names, live)


class SongFiles(NamedTuple):
    """The songs below a folder, and the other files by reason."""

    root: Path
    files: list[Path]
    others: dict[str, list[str]]


@contextmanager
def found_songs(source: Path) -> Iterator[SongFiles]:
    """Yield the MIDI files and scores in a folder, or in a zip of songs; or the one file.

    A zip is extracted to a temporary folder. Raises ValueError if there is no song, and for a zip
    that is damaged.
    """
    if source.is_dir():
        yield _songs_below(source, source, {})
    elif is_archive(source):
        with TemporaryDirectory(prefix="multigan-songs-") as folder:
            others = extract_songs(source, Path(folder))
            yield _songs_below(Path(folder), source, others)
    elif source.is_file():
        yield SongFiles(source, [source], {})
    else:
        raise ValueError(f"{source}: no such folder; name one with MIDI files")


def _songs_below(root: Path, source: Path, others: dict[str, list[str]]) -> SongFiles:
    """Return the songs below a folder, which came from `source`."""
    songs = []
    for name in files_below(root, others):
        if is_song(root / name):
            songs.append(root / name)
        else:
            others.setdefault(NO_SONG, []).append(printable(name))
    if not songs:
        found = [name for names in others.values() for name in names][:MAX_EXAMPLES]
        raise ValueError(
            f"{source} must hold MIDI files or scores ({', '.join(SUFFIXES)}); "
            f"got {', '.join(found) or 'no file'}"
        )
    return SongFiles(root, songs, others)


def read_files(
    files: Sequence[Path], root: Path, options: ImportOptions, num_workers: int
) -> Iterator[FileReading]:
    """Read the files in order, in this process or in several."""
    read: Callable[[Path], FileReading] = partial(_read_file, root=root, options=options)
    if num_workers <= 1:
        yield from map(read, files)
        return
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(read, files, chunksize=BATCH)


def choose_layout(readings: Sequence[FileReading], asked: str) -> str:
    """Return the layout asked for; for AUTO the most particular one that uses most files."""
    if asked != AUTO:
        return asked
    used = layout_counts(readings)
    most = max(used.values())
    return next(layout for layout, count in used.items() if count >= ENOUGH * most)


def layout_counts(readings: Sequence[FileReading]) -> dict[str, int]:
    """Return the number of files that each layout can use."""
    return {
        layout: sum(layout in reading.layouts for reading in readings) for layout in TRACK_LAYOUTS
    }


def assign(reading: FileReading, layout: str, options: ImportOptions) -> TrackAssignment:
    """The song of a file in a layout. Raises UnsuitableSong if it has no window there."""
    assert reading.song is not None
    found = assign_tracks(reading.song, layout, options.leave_out)
    if reading.windows:
        return found
    if options.bars_of(reading.song).bar_windows(options.bars):
        raise UnsuitableSong(
            "is in another time signature", ", ".join(reading.song.time_signature_names)
        )
    raise UnsuitableSong("is too short", f"no {options.bars} bars of one time signature")


def _read_file(path: Path, root: Path, options: ImportOptions) -> FileReading:
    """Read one file, and find the layouts that can use it."""
    name = printable(path.name if path == root else path.relative_to(root).as_posix())
    try:
        song, changes = read_song_counted(path)
    except UnreadableMidi as error:
        return FileReading(name, reason=error.reason, line=str(error).removeprefix(f"{path}: "))
    song, alignment = align_beats(song)
    tracking = None
    if alignment.is_live:
        if not options.live:
            return FileReading(name, reason=NO_BEATS, line=_live_line(alignment))
        song, tracking = track_beats(song)
        if not tracking.is_clear:
            line = f"{tracking.error:.3f} against {tracking.chance_error:.3f} by chance"
            return FileReading(name, reason=UNCLEAR_BEATS, line=line, tracking=tracking)
    swing = swing_ratio(song)
    straightens = is_swung(swing) and options.grid % 3 > 0  # a grid of thirds keeps it
    if swing is not None and straightens:
        song = with_swing(song, STRAIGHT, before=swing)
    unsuitable = {}
    for layout in TRACK_LAYOUTS:
        try:
            check_tracks(song, layout, options.leave_out)
        except UnsuitableSong as error:
            unsuitable[layout] = (error.reason, str(error))
    return FileReading(
        name,
        song,
        options.windows_of(song),
        dict(changes),
        unsuitable,
        alignment=alignment,
        tracking=tracking,
        swing=swing,
        is_straightened=straightens,
    )


def _live_line(alignment: BeatAlignment) -> str:
    """Explain that a file has no beats, and what can be done."""
    return (
        f"its onsets are {alignment.error_before:.3f} beats from the sixteenths, as by "
        "chance; import with --live to track its beats"
    )
