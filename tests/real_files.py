"""Run files as people have them through the command line, and print a table.

    python -m tests.real_files [CASE ...]        (make real-files)

The cases are folders of ../shared/cases; without them a line says so. Every command must end with
status 0, or 2 and a message of one line; its output must hold what the case expects. The relatives
of each kind are tests; their results stand in the same table.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.run_helpers import REPOSITORY

CASES = REPOSITORY.parent / "shared" / "cases"
TIMEOUT_S = 600
WIDTH = 110  # of an output line in the table
TINY = "train image --tiny --steps 4 --resolution 8 --no-report --data"
MUSIC = "train music --tiny --steps 2 --no-report --data"
TEXT = "train text --tiny --likelihood-steps 5 --steps 2 --no-report --data"


class Command(NamedTuple):
    """A command line, and a regular expression that its output must hold."""

    line: str
    expected: str = ""


class Case(NamedTuple):
    """A folder of input, the commands on it in order, and the tests of its relatives."""

    folder: str
    commands: tuple[Command, ...]
    relatives: tuple[str, ...] = ()


MIDI = ("tests/music/test_tolerant_midi.py",)
SCORES = ("tests/music/test_musicxml.py", "tests/music/test_import_options.py")
TABLES, ENCODINGS = ("tests/text/test_tables.py",), ("tests/text/test_encodings.py",)
SCRIPTS = ("tests/text/test_round_trip.py",)
LABELS, KINDS = ("tests/image/test_label_files.py",), ("tests/image/test_file_kinds.py",)
VALUES, NAMES = ("tests/image/test_values.py",), ("tests/image/test_listing.py",)
TABLE = (
    Case(
        "01-layout-cannot-train",
        tuple(
            command
            for layout in ("piano", "band")
            for command in (
                Command(
                    f"music import {layout} --layout {layout} --bars 2 --out out/{layout}",
                    "used 8 of 8",
                ),
                Command(
                    f"{MUSIC} out/{layout} --out out/r-{layout}",
                    "8 songs",
                ),
            )
        ),
        SCORES,
    ),
    Case(
        "02-key-signature",
        (
            Command(
                "music inspect midi", "key signatures .* left out(.|\n)*repeats another file: 18sh"
            ),
        ),
        MIDI,
    ),
    Case("04-fine-ticks", (Command("music inspect midi", "used 2 of 2"),), MIDI),
    Case(
        "06-program-change",
        (
            Command("music inspect midi", "used 6 of 6(.|\n)*notes in another program"),
            Command("music inspect nameless", "used 6 of 6"),
        ),
        MIDI,
    ),
    Case(
        "08-open-last-chord",
        (Command("music inspect midi", "used 6 of 6(.|\n)*notes without a note-off"),),
        MIDI,
    ),
    Case(
        "09-triplets",
        (
            Command("music inspect triplets.mid", "12 moves 0 and loses 0"),
            Command("music inspect thirtyseconds.mid", "8 moves 0 and loses 0"),
        ),
        SCORES,
    ),
    Case(
        "10-tempo-changes",
        (
            Command("music render rit.mid --out out/x", "3 files"),
            Command("music render late-tempo.mid --out out/y", "3 files"),
        ),
        MIDI,
    ),
    Case(
        "11-other-metre-silent",
        (
            Command("music import midi --out out/x --bars 2", "2/2 .read as 4/4"),
            Command(f"{MUSIC} out/x --out out/r", "30 songs .*20 signed 2/2 read as 4/4"),
        ),
        SCORES,
    ),
    Case(
        "12-csv-as-text",
        tuple(
            Command(f"text inspect tweets.{suffix}", "texts\n")
            for suffix in ("csv", "tsv", "jsonl")
        ),
        TABLES,
    ),
    Case(
        "13-encoding-advice",
        (
            Command("text inspect zh-gbk.txt", "GB18030"),
            Command("text inspect ru-cp1251.txt", "CP1251"),
            Command("text inspect en-cp1252.txt", "CP1252"),
            Command("text inspect poems.txt.gz", "a gzip file"),
            Command("text inspect poems.docx", "a Word document"),
            Command("text inspect utf16le-nobom.txt", "UTF-16LE"),
        ),
        ENCODINGS,
    ),
    Case("17-versions-leak", (Command("music inspect songs --bars 2", "versions: "),), SCORES),
    Case(
        "20-labels-beside",
        (
            Command("image inspect sg2", "classes: 0 10, 1 10, 2 10"),
            Command("image inspect kaggle", "classes: bird 10, cat 10, dog 10"),
            Command("image inspect hf", "classes: bird 10, cat 10, dog 10"),
        ),
        LABELS,
    ),
    Case(
        "22-suffixes",
        (
            Command(
                "image inspect photos --resolution 16", r"photos: 56 color images(.|\n)*HEIC is"
            ),
        ),
        KINDS,
    ),
    Case(
        "23-12bit",
        (
            Command("image inspect scans", "16-bit values end at [0-9,]+ of 65,535"),
            Command(f"{TINY} scans --stretch --out out/r", "finished at step 4"),
        ),
        VALUES,
    ),
    Case(
        "24-names",
        (
            Command(f"{TINY} latin1cls --out out/r", "finished at step 4"),
            Command("sample out/r -n 2 --out out/s", "2 samples"),
            Command("image export-dataset out/r --per-class 1 --out out/a", "2 images of 2"),
        ),
        NAMES,
    ),
    Case(
        "25-class-names",
        (
            Command("image inspect set", 'classes: 1 6, 2 6, 10 6, 11 6, "Cherry, black" 6'),
            Command(f"{TINY} set --out out/r", "finished at step 4"),
            Command("sample out/r -n 4 --labels 'Cherry, red,2' --out out/s", "4 samples"),
            Command("image export-dataset out/r --per-class 2 --out out/a"),
            Command("image inspect out/a", 'classes: 1 2, 2 2, 10 2, 11 2, "Cherry, black" 2'),
        ),
        NAMES,
    ),
    Case(
        "29-white-icons",
        (
            Command("image inspect set", "all alike(.|\n)*--background black, or --alpha"),
            Command(f"{TINY} set --out out/r", "error: set must have images that differ"),
            Command(f"{TINY} set --background black --out out/b", "finished at step 4"),
            Command(f"{TINY} set --alpha --out out/a", "finished at step 4"),
        ),
        VALUES,
    ),
    Case(
        "30-tables",
        (
            Command("image inspect minus-one.parquet", "6 of 24 images have no label"),
            Command("image inspect some-none.parquet", "5 of 24 images have no label"),
            Command("image inspect two", "classes: dog 12, cat 12"),
        ),
        ("tests/image/test_hf_tables.py",),
    ),
    Case(
        "32-word-tokenizer", (Command(f"{TEXT} tweets.txt --tokenizer word --out out/r"),), SCRIPTS
    ),
    Case(
        "33-marks-in-metric",
        (Command(f"{TEXT} hi.txt --tokenizer word --length 28 --out out/r", "finished"),),
        SCRIPTS,
    ),
    Case(
        "34-broken-bytes",
        (
            Command(f"{TEXT} zh.txt --length 60 --vocabulary-size 300 --out out/r", "finished"),
            Command("sample out/r -n 200 --out out/s", "200 samples"),
            Command("text inspect out/s/samples.txt", r"\A(?!(.|\n)*U\+FFFD)(.|\n)* texts\n"),
        ),
        SCRIPTS,
    ),
)


def main(arguments: list[str]) -> int:
    """Print the table of the cases whose names begin with one of the arguments; 1 if one fails."""
    if not CASES.is_dir():
        print(f"skipped: {CASES} is missing")
        return 0
    chosen = [c for c in TABLE if not arguments or c.folder.startswith(tuple(arguments))]
    failed = 0
    for case in chosen:
        failed += _run_case(case)
    tests = dict.fromkeys(test for case in chosen for test in case.relatives)
    for test in tests:
        failed += _run_relatives(test)
    print(f"{len(chosen)} cases, {failed} failures")
    return 1 if failed else 0


def _run_case(case: Case) -> int:
    """Run the commands of a case in a copy of its folder; return the number of failures."""
    source, failed = CASES / case.folder, 0
    if not source.is_dir():
        print(f"{case.folder:<24} skipped: missing")
        return 0
    with tempfile.TemporaryDirectory(prefix="multigan-case-") as folder:
        work = Path(folder) / case.folder
        shutil.copytree(source, work)
        _make_writable(work)
        if (work / "make.py").is_file():
            subprocess.run([sys.executable, "make.py"], cwd=work, check=True)
        for command in case.commands:
            status, output = _multigan(command.line, work, Path(folder) / "cache")
            problem = _problem(status, output, command.expected)
            failed += bool(problem)
            shown = _important(output)
            print(f"{case.folder:<24} {'FAIL' if problem else 'ok':<4} {command.line}")
            print(f"{'':<29} {(problem or shown)[:WIDTH]}", flush=True)
    return failed


def _make_writable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _multigan(line: str, work: Path, cache: Path) -> tuple[int, str]:
    """Run a command line; return its status and its output, errors last."""
    words = re.findall(r"'[^']*'|\S+", line)
    environment = os.environ | {
        "XDG_CACHE_HOME": str(cache),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), *sys.path])),
    }
    done = subprocess.run(
        [sys.executable, "-m", "multigan", *(word.strip("'") for word in words)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
    )
    return done.returncode, done.stdout + done.stderr


def _problem(status: int, output: str, expected: str) -> str:
    """Describe what is wrong with a finished command; "" if nothing is."""
    if "Traceback" in output:
        return f"a traceback: {output.strip().splitlines()[-1]}"
    if status not in (0, 2):
        return f"status {status}: {output.strip().splitlines()[-1:]}"
    if expected and not re.search(expected, output):
        return f"{expected!r} is missing: {_important(output)}"
    return ""


def _important(output: str) -> str:
    """Return the first error, warning or note of an output, else its first line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for start in ("error", "warning", "note"):
        if found := [line for line in lines if line.startswith(start)]:
            return found[0]
    return lines[0] if lines else "(no output)"


def _run_relatives(test: str) -> int:
    """Run the tests of one file of relatives; return 1 if they fail."""
    if not (REPOSITORY / test).is_file():
        print(f"{test}: skipped: missing")
        return 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    print(f"relatives: {test:<40} {lines[-1] if lines else done.stderr[-WIDTH:]}", flush=True)
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
