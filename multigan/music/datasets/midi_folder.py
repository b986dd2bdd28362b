"""Any folder of MIDI files and scores as a dataset: a file is used, or left out for a reason."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from multigan.core.data_counts import CHANGED, LEFT_OUT, DataCounts
from multigan.core.fingerprint import fingerprint
from multigan.core.progress import tracked
from multigan.music.datasets.import_report import FileResult, make_report, report_lines
from multigan.music.datasets.song_reading import (
    AUTO,
    FileReading,
    ImportOptions,
    SongFiles,
    assign,
    choose_layout,
    found_songs,
    import_options,
    read_files,
)
from multigan.music.datasets.song_versions import version_groups
from multigan.music.datasets.track_assignment import UnsuitableSong
from multigan.music.formats.npz import SPLIT_FRACTIONS, load_songs, save_songs, split_by_hash
from multigan.music.formats.song import Song
from multigan.music.formats.song_archives import is_archive
from multigan.storage.files import parse_json, write_atomically

CACHE_VERSION = 9  # raise it when a change here changes what an import returns
SONGS, REPORT = "songs.npz", "report.json"
DEFAULT_INSPECTION = ImportOptions(AUTO, 4, None)


class Imported(NamedTuple):
    """The songs that are used by file, the result of every file, and the report."""

    songs: dict[str, Song]
    results: list[FileResult]
    report: dict[str, Any]


def import_midi_folder(
    folder: str,
    *,
    out: str = "data/music",
    layout: str = "satb",
    bars: int = 4,
    time_signature: str = "any",
    grid: int = 4,
    leave_out: str = "",
    live: bool = False,
    num_workers: int = 1,
) -> list[FileResult]:
    """Read a folder or zip of MIDI files and scores into a dataset, and count what is left out.

    out: where songs.npz and report.json are written
    layout: satb, band, melody+chords, melody+piano, piano; auto: the one that fits most files
    bars: the length of a window; shorter songs are skipped
    time_signature: such as 3/4, or any
    grid: steps per quarter of a training: 4, 6, 8, 12 or 24
    leave_out: names of tracks to leave out, such as click,chords
    live: track the beats of live performances, and use those that have clear ones
    num_workers: processes that read files
    """
    options = import_options(layout, bars, time_signature, grid, leave_out, live)
    root, target = Path(folder), Path(out)
    with found_songs(root) as songs:
        files = [root] if root.is_file() else songs.files  # those of a zip are new every time
        stated = _fingerprint(files, root, options)
        if (known := _known(target, stated)) is None:
            target.mkdir(parents=True, exist_ok=True)
            found = import_files(songs, root, options, num_workers)
            save_songs(found.songs, target / SONGS)
            known = found.report | {"folder": folder, "fingerprint": stated}
            text = json.dumps(known, indent=1, ensure_ascii=False)
            write_atomically(target / REPORT, text.encode("utf-8", "backslashreplace"))
    results = [FileResult(**result) for result in known["files"]]
    _say(known, f": {target / SONGS}")
    if len(results) > known["used"]:
        print(f"every file and its reason: {target / REPORT}")
    if not known["used"]:
        raise ValueError(
            f"{folder}: no file can be used as {known['layout']}{_advice(known)}; "
            f"see {target / REPORT}"
        )
    return results


def inspect_songs(
    source: str,
    *,
    layout: str = "auto",
    bars: int = 4,
    time_signature: str = "any",
    grid: int = 4,
    leave_out: str = "",
    live: bool = False,
    num_workers: int = 1,
) -> None:
    """Print what an import of a folder or a file would use, change and leave out; write nothing.

    layout: satb, band, melody+chords, melody+piano, piano; auto: the one that fits most files
    bars: the length of a window
    time_signature: such as 3/4, or any
    grid: steps per quarter: 4, 6, 8, 12 or 24
    leave_out: names of tracks to leave out, such as click,chords
    live: track the beats of live performances, and use those that have clear ones
    num_workers: processes that read files
    """
    root = Path(source)
    options = import_options(layout, bars, time_signature, grid, leave_out, live)
    if (root / REPORT).is_file() and (root / SONGS).is_file():
        _inspect_import(root, options)
        return
    with found_songs(root) as songs:
        report = import_files(songs, root, options, num_workers).report
    _say(report, "")
    print("layouts: " + ", ".join(f"{n} uses {count:,}" for n, count in report["layouts"].items()))
    print("grids: " + "; ".join(
        f"{n} moves {found['moved']:,} and loses {found['lost']:,}"
        for n, found in report["grids"].items()
    ) + f" of {report['grids']['4']['notes']:,} notes")  # fmt: skip


def _inspect_import(root: Path, options: ImportOptions) -> None:
    """Print the report of an import; warn of options that are not those it was made with."""
    report = read_report(root)
    made_with = json.loads(json.dumps(report["options"]))
    default = json.loads(json.dumps(asdict(DEFAULT_INSPECTION)))
    stated = json.loads(json.dumps(asdict(options)))
    ignored = [k for k, value in stated.items() if value not in (default[k], made_with.get(k))]
    if ignored:
        warnings.warn(
            f"{root} is an import, which has its own options; {', '.join(ignored)} are not used; "
            f"inspect the folder of its files for others: {report.get('folder')}",
            stacklevel=2,
        )
    _say(report, "")


def load_folder(out: str | Path) -> dict[str, dict[str, Song]]:
    """The songs of an import by split and file: 70, 15 and 15 % of them, by a hash of the name.

    Versions of one song stay in one split if there are three songs or more.
    Raises ValueError in one line if nothing was imported there.
    """
    songs = load_songs(Path(out) / SONGS)
    reported = read_report(out) if (Path(out) / REPORT).is_file() else {}
    groups = reported.get("groups") or []
    if len(groups) < len(SPLIT_FRACTIONS):  # a split would be empty
        if any(len(group) > 1 for group in groups):
            warnings.warn(
                f"{out}: its files are versions of {len(groups)} songs; versions of one song are "
                "in several splits, and an evaluation cannot tell copies from new music",
                stacklevel=2,
            )
        groups = [[name] for name in songs]
    splits = split_by_hash([name for name in group if name in songs] for group in groups)
    return {split: {n: songs[n] for n in songs if n in names} for split, names in splits.items()}


def read_report(out: str | Path) -> dict[str, Any]:
    """The report of an import. Raises ValueError in one line if there is none that is intact."""
    path = Path(out) / REPORT
    try:
        report = parse_json(path.read_text(encoding="utf-8"))
        if not isinstance(report, dict) or not isinstance(report["layout"], str):
            raise ValueError("it lacks the layout")
        return report
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"{path} must be a report of an import ({error}); import again") from error


def import_files(
    songs: SongFiles, source: Path, options: ImportOptions, num_workers: int = 1
) -> Imported:
    """Read the songs of a source, choose the layout, and make the report; write nothing."""
    found = read_files(songs.files, songs.root, options, num_workers)
    readings = list(tracked(found, len(songs.files), "files read"))
    return import_readings(readings, source, options, songs.others)


def import_readings(
    readings: Sequence[FileReading],
    root: Path,
    options: ImportOptions,
    others: Mapping[str, Sequence[str]] | None = None,
) -> Imported:
    """Choose the layout of files that were read, and make the report.

    `root` is the file, folder or archive that messages name; `others` are files that are no songs,
    by reason.
    """
    layout = choose_layout(readings, options.layout)
    notes = DataCounts("notes")
    songs: dict[str, Song] = {}
    results: list[FileResult] = []
    seen: dict[str, str] = {}  # digest of a song -> the file that had it first
    for reading in readings:
        result, song = _result(reading, layout, options, root, seen, notes)
        results.append(result)
        if song is not None:
            songs[result.file] = song
    report = {"options": asdict(options)} | make_report(
        options, layout, results, readings, songs, notes, others or {}
    )
    report["groups"] = version_groups(songs)
    report["files"] = [asdict(result) for result in results]
    return Imported(songs, results, report)


def _result(
    reading: FileReading,
    layout: str,
    options: ImportOptions,
    root: Path,
    seen: dict[str, str],
    notes: DataCounts,
) -> tuple[FileResult, Song | None]:
    """Result for one file, and its song if it is used; count its notes."""
    place = root if root.is_file() and not is_archive(root) else root / reading.file
    if reading.song is None:
        line = f"{place}: {reading.line}"
        return FileResult(reading.file, reason=reading.reason, line=line), None
    try:
        song, assigned_tracks, left_out, changed = assign(reading, layout, options)
    except UnsuitableSong as error:
        return FileResult(reading.file, reason=error.reason, line=f"{place}: {error}"), None
    first = seen.setdefault(_digest(song), reading.file)
    if first != reading.file:
        line = f"{place}: repeats {first}"
        return FileResult(reading.file, reason="repeats another file", line=line), None
    for use, reasons in ((CHANGED, changed), (LEFT_OUT, left_out)):
        for reason, count in reasons.items():
            notes.add(use, reason, [reading.file], count)
    return FileResult(reading.file, reading.windows, assigned_tracks, swing=reading.swing), song


def _digest(song: Song) -> str:
    """Digest of the notes of each voice."""
    return fingerprint(([[note[:3] for note in track.notes] for track in song.tracks],))


def _fingerprint(files: Sequence[Path], root: Path, options: ImportOptions) -> str:
    """Fingerprint of the names, sizes and times of the files, and of the options."""
    stats = [(str(file.relative_to(root)), file.stat()) for file in files]
    stated = [CACHE_VERSION, str(root.resolve()), options]
    stated += [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return fingerprint((stated,), size=8)


def _known(target: Path, fingerprint: str) -> dict[str, Any] | None:
    """Report of a finished import of the very same files; None without one."""
    try:
        report = read_report(target)
        load_songs(target / SONGS)
        for result in report["files"]:
            FileResult(**result)
        return report if report["fingerprint"] == fingerprint else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _say(report: Mapping[str, Any], where: str) -> None:
    """Print the counts, the reason of one file for each, and advice."""
    files = len(report["files"])
    windows = f"{report['windows']:,} windows of {report['options']['bars']} bars"
    print(f"used {report['used']:,} of {files:,} files, {windows}, as {report['layout']}{where}")
    for line in report_lines(report):
        print(line)
    for reason in report["skipped"]:
        print(next(f["line"] for f in report["files"] if f["reason"] == reason))


def _advice(report: Mapping[str, Any]) -> str:
    """Name the layout that would use files, where there is one."""
    counts = report["layouts"]
    most = max(counts.values())
    if not most:
        return ""
    better = next(name for name, count in counts.items() if count == most)
    return f"; --layout {better} would use {most:,} of {len(report['files']):,}"
