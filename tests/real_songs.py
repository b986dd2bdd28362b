"""Import folders of MIDI files of published datasets, and print what is used, lost and moved.

    python -m tests.real_songs [NAME ...]        (a part of make real-files)

The archives are those of ../shared/data; without them a line says so. The notes of a layout are
those of its voices; a grid moves or loses some of them. No song may have a version in two splits.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from multigan.music.datasets.midi_folder import (
    import_readings,
)
from multigan.music.datasets.song_reading import (
    FileReading,
    found_songs,
    import_options,
    read_files,
)
from multigan.music.datasets.timing_report import timing_lines, timing_report
from multigan.music.formats.npz import split_by_hash
from multigan.music.formats.song import Song
from multigan.music.representations.time_grid import GRIDS
from multigan.music.representations.voices import TRACK_LAYOUTS
from tests.run_helpers import REPOSITORY

DATA = REPOSITORY.parent / "shared" / "data"
ARCHIVES = {
    "pop909-raw": "pop909/pop909-raw.zip",
    "pop909-cl": "pop909/pop909-cl.zip",
    "nottingham": "nottingham/nottingham.zip",
    "jazz-live": "jazz-live/jazz-live-60.zip",
}
LIVE = ("jazz-live",)  # without beats: they are tracked
BARS = 2
COPIED_SHARE = 0.5  # of the windows of a test song: as many in the training split make it a copy


def main(arguments: list[str]) -> int:
    """Print the tables of all archives, or of the named ones; 1 if versions are in two splits."""
    failed = 0
    for name in arguments or ARCHIVES:
        archive = DATA / ARCHIVES[name]
        if not archive.is_file():
            print(f"skipped: {archive} is missing")
            continue
        failed += _tables(name, archive)
    return 1 if failed else 0


def _tables(name: str, root: Path) -> int:
    """Print the tables of one folder; return the number of leaks."""
    options = import_options("auto", BARS, "any", 4, "", live=name in LIVE)
    with found_songs(root) as songs:
        readings = list(read_files(songs.files, songs.root, options, 1))
    unread = Counter(reading.reason for reading in readings if reading.reason)
    print(f"{name}: {len(readings):,} files; not read: {dict(unread) or 'none'}")
    print(*timing_lines(timing_report(readings)), sep="\n")
    grids = " | ".join(f"moved, lost at {grid}" for grid in GRIDS)
    print(f"| layout | files used | notes | left out | {grids} |")
    print("|---" * (4 + len(GRIDS)) + "|", flush=True)
    leaks = 0
    for layout in TRACK_LAYOUTS:
        if any(layout in reading.layouts for reading in readings):
            leaks += _row(layout, readings, root)
    return leaks


def _row(layout: str, readings: list[FileReading], root: Path) -> int:
    """Print the row of a layout; return the number of leaks between the splits."""
    options = import_options(layout, BARS, "any", 4, "")
    songs, _, report = import_readings(readings, root, options)
    grids = report["grids"]
    left_out = sum(row[2] for row in report["counts"][1]["rows"] if row[0] == "left out")
    cells = [layout, f"{len(songs):,}", f"{grids['4']['notes']:,}", f"{left_out:,}"]
    cells += [f"{found['moved']:,}, {found['lost']:,}" for found in grids.values()]
    print(f"| {' | '.join(cells)} |", flush=True)
    splits = split_by_hash(report["groups"])
    leaks = sum(sum(bool(names & set(group)) for names in splits.values()) > 1
                for group in report["groups"])  # fmt: skip
    copies = _copies(songs, splits["train"], splits["test"])
    print(f"  groups in two splits: {leaks}; test songs with {COPIED_SHARE:.0%} or more of their "
          f"windows in train: {len(copies)} of {len(splits['test'])}", flush=True)  # fmt: skip
    return leaks


def _copies(songs: dict[str, Song], train: set[str], test: set[str]) -> list[str]:
    """Return the test songs that share COPIED_SHARE of their windows with the training split."""
    known = {window for name in train for window in _windows(songs[name])}
    found = []
    for name in sorted(test):
        windows = _windows(songs[name])
        if windows and sum(w in known for w in windows) >= COPIED_SHARE * len(windows):
            found.append(name)
    return found


def _windows(song: Song) -> list[int]:
    """Return a number for the notes of each window of BARS bars."""
    found = []
    for start, end in song.bar_windows(BARS, BARS):
        notes = [
            (note.start_tick - start, note.pitch_midi)
            for track in song.tracks
            for note in track.notes
            if start <= note.start_tick < end
        ]
        if notes:
            found.append(hash(tuple(notes)))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
