"""Report of an import: counts by reason, and the layouts, grids and time signatures that fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from multigan.core.data_counts import CHANGED, IGNORED, LEFT_OUT, USED, DataCounts
from multigan.music.datasets.song_reading import FileReading, ImportOptions, layout_counts
from multigan.music.datasets.timing_report import timing_lines, timing_report
from multigan.music.formats.npz import SPLIT_FRACTIONS
from multigan.music.formats.song import Song, TimeSignature
from multigan.music.representations.bars import can_read_as
from multigan.music.representations.pianoroll import GridChanges, grid_changes
from multigan.music.representations.time_grid import GRIDS
from multigan.music.representations.voices import TRACK_LAYOUTS

DEFAULT_SIGNATURE = TimeSignature(0, 4, 4)  # of a training
NOTABLE_SHARE = 0.01  # of the notes: a grid that moves or loses more is named


@dataclass(frozen=True)
class FileResult:
    """Result for one file: it is used, or left out for a reason."""

    file: str  # relative to the folder
    windows: int = 0
    assigned_tracks: dict[str, list[str]] | None = None  # voice -> the names of its tracks
    reason: str = ""  # one of few, to be counted; empty for a used file
    line: str = ""  # the whole explanation
    swing: float | None = None  # where in a beat its second eighth begins


def count_files(
    layout: str,
    results: Sequence[FileResult],
    readings: Sequence[FileReading],
    others: Mapping[str, Sequence[str]],
) -> DataCounts:
    """Count the files that are used, changed, left out and ignored."""
    counts = DataCounts("files")
    for reason, names in others.items():
        counts.add(IGNORED, reason, names, len(names))
    for result, reading in zip(results, readings, strict=True):
        if result.reason:
            counts.add(LEFT_OUT, result.reason, [result.file])
            continue
        counts.add(USED, f"as {layout}")
        if reading.alignment.offset_ticks:
            counts.add(CHANGED, "with an offset from the beats, removed", [result.file])
        if reading.tracking is not None:
            counts.add(CHANGED, "with live timing, on tracked beats", [result.file])
        for kind in reading.changes:
            counts.add(CHANGED, f"with {kind}", [result.file])
    return counts


def count_grid(counts: DataCounts, grid: int, found: Mapping[str, GridChanges]) -> None:
    """Count the notes of songs that are used, and those that a grid moves and loses."""
    on_grid = f"the grid of {grid} steps per quarter"
    for name, song in found.items():
        counts.add(USED, "in the songs", [name], song.notes - song.lost - song.unplaced)
        for use, count, reason in (
            (CHANGED, song.moved, f"moved to {on_grid}"),
            (LEFT_OUT, song.unplaced, "that begin with another of a monophonic voice"),
            (LEFT_OUT, song.lost, f"lost on {on_grid}"),
        ):
            if count:
                counts.add(use, reason, [name], count)


def grid_table(songs: Mapping[str, Song], layout: str) -> dict[int, dict[str, GridChanges]]:
    """Return what each grid moves and loses of the notes of each song in a layout."""
    voices = TRACK_LAYOUTS[layout]
    return {
        grid: {name: grid_changes(song, voices, grid) for name, song in songs.items()}
        for grid in GRIDS
    }


def signature_counts(songs: Mapping[str, Song]) -> dict[str, int]:
    """Return the number of songs with each time signature, the most frequent first."""
    counts = Counter(name for song in songs.values() for name in song.time_signature_names)
    return dict(counts.most_common())


def make_report(
    options: ImportOptions,
    layout: str,
    results: Sequence[FileResult],
    readings: Sequence[FileReading],
    songs: Mapping[str, Song],
    notes: DataCounts,
    others: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return the counts of an import as JSON; the notes of the grid are added to `notes`."""
    by_song = grid_table(songs, layout)
    count_grid(notes, options.grid, by_song[options.grid])
    grids = {
        grid: reduce(GridChanges.plus, found.values(), GridChanges())
        for grid, found in by_song.items()
    }
    skipped = Counter(result.reason for result in results if result.reason)
    return {
        "layout": layout,
        "grid": options.grid,
        "used": len(songs),
        "windows": sum(result.windows for result in results),
        "skipped": dict(skipped.most_common()),
        "counts": [
            count_files(layout, results, readings, others).to_json(),
            notes.to_json(),
        ],
        "timing": timing_report(readings),
        "layouts": layout_counts(readings),
        "grids": {str(grid): found._asdict() for grid, found in grids.items()},
        "time_signatures": signature_counts(songs),
        "default_songs": sum(map(_fits_default, songs.values())),
    }


def _fits_default(song: Song) -> bool:
    """Return whether a song has bars that a training reads without --time-signature."""
    return any(can_read_as(signature, DEFAULT_SIGNATURE) for signature in song.time_signatures)


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the lines that a person sees: tables of files and notes, and advice."""
    lines = []
    for content in report["counts"]:
        if (counts := DataCounts.from_json(content)) and counts.rows:
            lines += [f"{counts.unit}:", *(f"  {line}" for line in counts.lines())]
    return [
        *lines,
        *_layout_advice(report),
        *timing_lines(report.get("timing", {})),
        *_grid_advice(report),
        *_signature_lines(report),
        *_version_lines(report),
    ]


def _layout_advice(report: Mapping[str, Any]) -> list[str]:
    """Name the layouts that would use more files, the most particular of the best."""
    counts, layout = report["layouts"], report["layout"]
    if not any(counts.values()):
        return []
    if report["options"]["layout"] != layout:
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        return [f"layout: {layout}, the most particular that uses most files ({listed})"]
    most = max(counts.values())
    if counts[layout] >= most:
        return []
    better = next(name for name, count in counts.items() if count == most)
    return [f"--layout {better} would use {most:,} files; {layout} can use {counts[layout]:,}"]


def _grid_advice(report: Mapping[str, Any]) -> list[str]:
    """Name the coarsest grid that moves and loses far fewer notes, where the present one does."""
    grids = {int(grid): GridChanges(**found) for grid, found in report["grids"].items()}
    present = grids[report["grid"]]
    misfits = present.moved + present.lost
    if misfits <= NOTABLE_SHARE * present.notes and not present.lost:
        return []
    line = (
        f"grid: {report['grid']} steps per quarter move {present.moved:,} of {present.notes:,} "
        f"notes and lose {present.lost:,}"
    )
    better = [g for g, found in grids.items() if 2 * (found.moved + found.lost) < misfits]
    if not better:
        return [line]
    found = grids[better[0]]
    return [f"{line}; --grid {better[0]} would move {found.moved:,} and lose {found.lost:,}"]


def _signature_lines(report: Mapping[str, Any]) -> list[str]:
    """Name the time signatures, and how many songs a training uses without an option."""
    counts = report["time_signatures"]
    if not counts:
        return []
    names = []
    for name, count in counts.items():
        signature = TimeSignature(0, *map(int, name.split("/")))
        joined = name != "4/4" and can_read_as(signature, DEFAULT_SIGNATURE)
        names.append(f"{count:,} in {name}" + (" (read as 4/4)" if joined else ""))
    lines = [f"time signatures: {', '.join(names)}"]
    if (fitting := report["default_songs"]) < report["used"]:
        others = [
            name
            for name in counts
            if not can_read_as(TimeSignature(0, *map(int, name.split("/"))), DEFAULT_SIGNATURE)
        ]
        lines.append(
            f"a training uses {fitting:,} of the {report['used']:,} songs, those with bars of 4/4; "
            f"--time-signature {others[0]} takes the {counts[others[0]]:,} in {others[0]}"
        )
    return lines


def _version_lines(report: Mapping[str, Any]) -> list[str]:
    """Name the number of files that are versions of another."""
    several = [group for group in report["groups"] if len(group) > 1]
    if not several:
        return []
    files = sum(map(len, several))
    if len(report["groups"]) < len(SPLIT_FRACTIONS):
        return [
            f"versions: all files are versions of {len(report['groups']):,} songs; the splits have "
            "versions of one song, and an evaluation cannot tell copies from new music"
        ]
    return [
        f"versions: {files:,} files in {len(several):,} groups, each of one song; a group stays in "
        "one split"
    ]
