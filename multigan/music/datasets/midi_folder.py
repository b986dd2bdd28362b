"""Any folder of MIDI files as a data set: what can be used is kept, what cannot is explained."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from multigan.music.datasets.track_assignment import UnsuitableSong, assign_tracks
from multigan.music.formats.midi import UnreadableMidi, read_midi_counted
from multigan.music.formats.npz import load_songs, save_songs, split_by_hash
from multigan.music.formats.song import Song
from multigan.music.representations.voices import TRACK_LAYOUTS
from multigan.storage.files import parse_json, write_atomically

CACHE_VERSION = 3  # raise it when a change here changes what an import returns
SUFFIXES = (".mid", ".midi", ".kar")
SONGS, REPORT = "songs.npz", "report.json"
SHOWN = 5  # skipped files that are printed for each reason; the report has all
BATCH = 8  # files that a process takes at a time


@dataclass(frozen=True)
class FileResult:
    """Result for one file: it is used, or skipped for a reason."""

    file: str  # relative to the folder
    windows: int = 0
    assigned_tracks: dict[str, list[str]] | None = None  # voice -> the names of its tracks
    reason: str = ""  # one of few, to be counted; empty for a used file
    line: str = ""  # the whole explanation


@dataclass(frozen=True)
class ImportOptions:
    """Requirements for a file to be used."""

    layout: str
    bars: int
    time_signature: tuple[int, int] | None  # counts and unit; None takes all


def import_midi_folder(
    folder: str,
    *,
    out: str = "data/music",
    layout: str = "satb",
    bars: int = 4,
    time_signature: str = "any",
    num_workers: int = 1,
) -> list[FileResult]:
    """Read a folder of MIDI files into a data set, and say which files were skipped and why.

    out: where songs.npz and report.json are written
    layout: the voices to look for: satb, band or piano
    bars: the length of a window; shorter songs are skipped
    time_signature: such as 3/4, or any
    num_workers: processes that read files
    """
    options = _options(layout, bars, time_signature)
    root, target = Path(folder), Path(out)
    files = _files(root)
    stated = _fingerprint(files, root, options)
    if (outcomes := _known(target, stated)) is None:
        target.mkdir(parents=True, exist_ok=True)
        songs, outcomes = _read(files, root, options, num_workers)
        save_songs(songs, target / SONGS)
        _write_report(target, folder, stated, options, outcomes)
    _say(outcomes, target)
    if all(outcome.reason for outcome in outcomes):
        raise ValueError(f"{folder}: no file can be used as {layout}; see {target / REPORT}")
    return outcomes


def load_folder(out: str | Path) -> dict[str, dict[str, Song]]:
    """The songs of an import by split and file: 70, 15 and 15 % of them, by a hash of the name.

    Raises ValueError in one line if nothing was imported there.
    """
    songs = load_songs(Path(out) / SONGS)
    splits = split_by_hash([name] for name in songs)
    return {split: {n: songs[n] for n in songs if n in names} for split, names in splits.items()}


def _options(layout: str, bars: int, time_signature: str) -> ImportOptions:
    """Validated options; ValueError for an invalid one."""
    if layout not in TRACK_LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(TRACK_LAYOUTS)}")
    if bars < 1:
        raise ValueError(f"bars must be 1 or more; got {bars}")
    counts, _, unit = time_signature.partition("/")
    if time_signature != "any" and not (counts.isdecimal() and unit.isdecimal()):
        raise ValueError(
            f"time_signature must be any, or such as 4/4 or 6/8; got {time_signature!r}"
        )
    return ImportOptions(
        layout, bars, None if time_signature == "any" else (int(counts), int(unit))
    )


def _files(root: Path) -> list[Path]:
    """The MIDI files in a folder and below it, in order."""
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; name one with MIDI files")
    found = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if files := sorted(path for path in found if path.is_file()):
        return files
    raise ValueError(f"{root}: holds no MIDI file ({', '.join(SUFFIXES)})")


def _read(
    files: Sequence[Path], root: Path, options: ImportOptions, num_workers: int
) -> tuple[dict[str, Song], list[FileResult]]:
    """The songs that can be used, by file, and what became of every file."""
    songs: dict[str, Song] = {}
    outcomes = []
    seen: dict[bytes, str] = {}  # digest of a song -> the file that had it first
    for outcome, song in _map(partial(_read_file, root=root, options=options), files, num_workers):
        first = outcome.file if song is None else seen.setdefault(_digest(song), outcome.file)
        if first != outcome.file:
            reason = "repeats another file"
            line = f"{root / outcome.file}: repeats {first}"
            outcome = FileResult(outcome.file, reason=reason, line=line)
        elif song is not None:
            songs[outcome.file] = song
        outcomes.append(outcome)
    return songs, outcomes


def _map(
    read: Callable[[Path], tuple[FileResult, Song | None]], files: Sequence[Path], num_workers: int
) -> Iterator[tuple[FileResult, Song | None]]:
    """Read the files in order, in this process or in several."""
    if num_workers <= 1:
        yield from map(read, files)
        return
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(read, files, chunksize=BATCH)


def _read_file(path: Path, root: Path, options: ImportOptions) -> tuple[FileResult, Song | None]:
    """Result for one file, and its song if it is used."""
    name = path.relative_to(root).as_posix()
    try:
        song, assigned_tracks = assign_tracks(read_midi_counted(path).song, options.layout)
        windows = len(song.bar_windows(options.bars, time_signature=options.time_signature))
        if not windows:
            _refuse(song, options)
        return FileResult(name, windows, assigned_tracks), song
    except UnreadableMidi as error:
        return FileResult(name, reason=error.reason, line=str(error)), None
    except UnsuitableSong as error:
        return FileResult(name, reason=error.reason, line=f"{path}: {error}"), None


def _refuse(song: Song, options: ImportOptions) -> None:
    """Say why a song has no window."""
    if song.bar_windows(options.bars):
        raise UnsuitableSong("is in another time signature", ", ".join(song.time_signature_names))
    raise UnsuitableSong("is too short", f"no {options.bars} bars of one time signature")


def _digest(song: Song) -> bytes:
    """Digest of the notes of each voice."""
    notes = [[note[:3] for note in track.notes] for track in song.tracks]
    return hashlib.blake2b(repr(notes).encode()).digest()


def _fingerprint(files: Sequence[Path], root: Path, options: ImportOptions) -> str:
    """Fingerprint of the names, sizes and times of the files, and of the options."""
    stats = [(str(file.relative_to(root)), file.stat()) for file in files]
    stated = [CACHE_VERSION, str(root.resolve()), options]
    stated += [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return hashlib.blake2b(repr(stated).encode(), digest_size=8).hexdigest()


def _known(target: Path, fingerprint: str) -> list[FileResult] | None:
    """Results of a finished import of the very same files; None without one."""
    try:
        report = parse_json((target / REPORT).read_text(encoding="utf-8"))
        load_songs(target / SONGS)
        same = report["fingerprint"] == fingerprint
        return [FileResult(**outcome) for outcome in report["files"]] if same else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write_report(
    target: Path,
    folder: str,
    fingerprint: str,
    options: ImportOptions,
    outcomes: Sequence[FileResult],
) -> None:
    report: dict[str, Any] = {
        "folder": folder,
        "fingerprint": fingerprint,
        "options": asdict(options),
        "used": sum(not outcome.reason for outcome in outcomes),
        "windows": sum(outcome.windows for outcome in outcomes),
        "skipped": _reasons(outcomes),
        "files": [asdict(outcome) for outcome in outcomes],
    }
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_atomically(target / REPORT, text.encode("utf-8", "backslashreplace"))


def _reasons(outcomes: Sequence[FileResult]) -> dict[str, int]:
    """Number of files skipped for each reason, the most frequent first."""
    counts = Counter(outcome.reason for outcome in outcomes if outcome.reason)
    return dict(counts.most_common())


def _say(outcomes: Sequence[FileResult], target: Path) -> None:
    """Print the counts, some files for each reason, and where the rest stands."""
    used = [outcome for outcome in outcomes if not outcome.reason]
    windows = sum(outcome.windows for outcome in used)
    print(f"used {len(used):,} of {len(outcomes):,} files, {windows:,} windows: {target / SONGS}")
    for reason, count in _reasons(outcomes).items():
        print(f"skipped {count:,}: {reason}")
        lines = [outcome.line for outcome in outcomes if outcome.reason == reason]
        for line in lines[:SHOWN]:
            print(f"  {line}")
    if len(used) < len(outcomes):
        print(f"every file and its reason: {target / REPORT}")
