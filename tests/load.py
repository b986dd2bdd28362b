"""Read large sets, sample many items and train for long, within limits of time and memory.

    python -m tests.load [NAME ...]        (make load)

Each measurement runs in a process of its own. A limit that is exceeded is a failure. The training
lasts MULTIGAN_LOAD_TRAIN_S seconds, 20 minutes by default.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

IMAGES, LINES, SONGS, SAMPLES = 20_000, 1_000_000, 909, 10_000
LOG_LINES = 100_000
WRITTEN_SONGS = 200  # as MIDI, audio and image; each takes a third of a second
SIDE = 64  # pixels of an image
CLASSES = 10
NOTES = 1600  # of a song, as many as those of POP909 have
WARM_S = 30  # of a training, before its memory is compared
TRAIN_S = float(os.environ.get("MULTIGAN_LOAD_TRAIN_S", "1200"))
MAX_GROWTH_MIB = 64


class Limit(NamedTuple):
    """Limits of one measurement: CPU seconds, MiB of memory beyond the start, and open files."""

    cpu_s: float
    peak_mib: float
    files: int


class Figures(NamedTuple):
    """The measured values, and the wall time."""

    cpu_s: float
    peak_mib: float
    files: int
    wall_s: float


class Task(NamedTuple):
    """A function of a source; the set that it needs; the expected count; limits; its imports."""

    run: Callable[[Path], int]
    source: str
    expected: int
    limit: Limit
    module: str = "multigan"


def write_images(root: Path, count: int = IMAGES) -> None:
    """Write `count` JPEG files in class folders; no two alike."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(count):
        folder = root / f"class {k % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        image.save(folder / f"{k:06d}.jpg", quality=90)


def write_lines(root: Path, count: int = LINES) -> None:
    """Write a text file of `count` different lines of 8 words and a number."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(map(chr, rng.integers(97, 123, 5))) for _ in range(2000)])
    root.mkdir()
    with (root / "lines.txt").open("w", encoding="utf-8") as file:
        for start in range(0, count, 10_000):
            chosen = words[rng.integers(0, len(words), (10_000, 8))]
            lines = enumerate(chosen[: count - start], start)
            file.writelines(f"{' '.join(row)} {k}\n" for k, row in lines)


def write_songs(root: Path, count: int = SONGS) -> None:
    """Write `count` MIDI files of NOTES notes for a piano, on a grid of sixteenths."""
    rng = np.random.default_rng(0)
    root.mkdir()
    for k in range(count):
        ticks = np.concatenate([starts := 120 * rng.integers(0, NOTES, NOTES), starts + 240])
        pitches = np.tile(rng.integers(36, 84, NOTES), 2)
        velocities = np.repeat([64, 0], NOTES)
        order = np.lexsort((velocities, ticks))
        deltas = np.diff(ticks[order], prepend=0)
        rows = zip(deltas, pitches[order], velocities[order], strict=True)
        events = b"".join(_delta(int(d)) + bytes([0x90, p, v]) for d, p, v in rows)
        track = events + b"\0\xff\x2f\0"
        head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
        content = head + b"MTrk" + struct.pack(">I", len(track)) + track
        (root / f"{k:03d}.mid").write_bytes(content)


def _delta(ticks: int) -> bytes:
    """Return a number of at most 14 bits as MIDI writes it."""
    return bytes([0x80 | ticks >> 7, ticks & 0x7F]) if ticks > 0x7F else bytes([ticks])


def write_run(root: Path, lines: int = LOG_LINES) -> None:
    """Train two steps, and repeat the last line of the log with other steps."""
    from multigan import train

    train("points", tiny=True, steps=2, show=0, report=False, out=str(root))
    log = root / "log.jsonl"
    *_, last = [
        json.loads(line) for line in log.read_text().splitlines() if "discriminator" in line
    ]
    with log.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(last | {"step": k + 1}) + "\n" for k in range(lines))


def read_set(source: Path) -> int:
    """Read a folder of images; the number of images."""
    from multigan.image.datasets.images import load_images

    return len(load_images(str(source), resolution=SIDE))


def read_text(source: Path) -> int:
    """Read and encode a text file; the number of lines in all splits."""
    from multigan.text.datasets.text_lines import TextLineDataset

    data = TextLineDataset(str(source / "lines.txt"), length=64)
    return sum(len(data.split(name)) for name in ("train", "valid", "test"))


def import_songs(source: Path) -> int:
    """Import a folder of MIDI files; the number of files that are used."""
    from multigan.music.datasets.midi_folder import import_midi_folder

    found = import_midi_folder(str(source), out=str(imported(source)), layout="piano", bars=2)
    return sum(not result.reason for result in found)


def imported(source: Path) -> Path:
    """Return the folder of an import."""
    return source.with_name(f"{source.name}-imported")


def open_songs(source: Path) -> int:
    """Open an import as a training does; the number of songs that are used."""
    from multigan.core.data_counts import USED
    from multigan.music.datasets.song_windows import SongWindowDataset

    return SongWindowDataset(str(imported(source))).data_counts().total(USED)


def sampled(name: str) -> Callable[[Path], int]:
    """Return a function that samples from a packaged generator and writes what is small."""

    def run(source: Path) -> int:
        from multigan import load

        sampler = load(str(source) if name == "points" else name)
        samples = sampler.sample(SAMPLES)
        if name != "music":
            out = source.with_name(f"samples-{name}")
            out.mkdir()
            sampler.domain.write(samples, out)
        return len(samples)

    return run


def write_sampled_songs(source: Path) -> int:
    """Write songs as MIDI, audio and image; the number of files."""
    from multigan import load

    sampler = load("music")
    return len(sampler.domain.write(sampler.sample(WRITTEN_SONGS), source / "songs"))


def write_report(source: Path) -> int:
    """Write the report of a run with a long log; the number of pages."""
    from multigan.report.report import report

    return int(report(source).is_file())


def train_long(source: Path) -> int:
    """Train for TRAIN_S seconds with samples and checkpoints; 1 if memory does not grow."""
    from multigan import train
    from multigan.training.callbacks import Callback

    start, marks, steps = time.monotonic(), [], 0

    class Stop(Callback):
        def on_step(self, step, values):
            nonlocal steps
            steps, seconds = step, time.monotonic() - start
            if not marks and seconds > min(WARM_S, TRAIN_S / 4):
                marks.append(resident_mib())
            if seconds > TRAIN_S:
                marks.append(resident_mib())
                raise KeyboardInterrupt

    try:
        train("image", tiny=True, steps=10_000_000, save_every=50, sample_every=50, show=0,
              report=False, out=str(source / "run"), callbacks=[Stop()])  # fmt: skip
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if "interrupted" not in type(error).__name__.lower():
            raise
    growth = marks[-1] - marks[0]
    grown = f"memory from {marks[0]:,.0f} to {marks[-1]:,.0f} MiB"
    print(f"{grown} in {TRAIN_S:,.0f} s, {steps:,} steps")
    return int(len(marks) == 2 and growth <= MAX_GROWTH_MIB)


def resident_mib() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


# Name -> what writes a set into a folder.
SETS: dict[str, Callable[[Path], None]] = {
    "images": write_images,
    "lines": write_lines,
    "songs": write_songs,
    "run": write_run,
    "empty": lambda root: root.mkdir(exist_ok=True),
}
MUSIC = "multigan.music.datasets.song_windows"
TASKS: dict[str, Task] = {
    "read": Task(read_set, "images", IMAGES, Limit(100, 1300, 32)),
    "read again": Task(read_set, "images", IMAGES, Limit(20, 1200, 32)),
    "text": Task(read_text, "lines", LINES, Limit(240, 3000, 32)),
    "import songs": Task(import_songs, "songs", SONGS, Limit(400, 2500, 32), MUSIC),
    "open songs": Task(open_songs, "songs", SONGS, Limit(120, 2500, 32), MUSIC),
    "open songs again": Task(open_songs, "songs", SONGS, Limit(3, 1500, 32), MUSIC),
    "sample points": Task(sampled("points"), "run", SAMPLES, Limit(30, 800, 64)),
    "sample image": Task(sampled("image"), "empty", SAMPLES, Limit(400, 1500, 64)),
    "sample text": Task(sampled("text"), "empty", SAMPLES, Limit(400, 1500, 64)),
    "sample music": Task(sampled("music"), "empty", SAMPLES, Limit(900, 2500, 64)),
    "write music": Task(write_sampled_songs, "empty", 3 * WRITTEN_SONGS, Limit(300, 1500, 64)),
    "report": Task(write_report, "run", 1, Limit(5, 200, 64), "multigan.report.report"),
    "train": Task(train_long, "empty", 1, Limit(2 * TRAIN_S + 60, 1500, 96)),
}


def child(name: str, source: str) -> None:
    """Run one task in this process and print its figures as JSON."""
    importlib.import_module(TASKS[name].module)
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], len(os.listdir("/proc/self/fd")))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, before, held = time.monotonic(), cpu_seconds(), resident_mib()
    count = TASKS[name].run(Path(source))
    wall = time.monotonic() - start
    done.set()
    watcher.join()
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    figures = Figures(cpu_seconds() - before, peak / 1024 - held, most[0], wall)
    print(json.dumps({"count": count, **figures._asdict()}))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main(arguments: list[str]) -> int:
    """Measure every task, or the named ones; 1 if a limit is exceeded."""
    if not sys.platform.startswith("linux"):
        print("skipped: open files are counted in /proc, which only Linux has")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix="multigan-load-") as folder:
        os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir(), "multigan-fonts")))
        os.environ |= {"XDG_CACHE_HOME": str(Path(folder, "cache")), "OMP_NUM_THREADS": "1"}
        for name in arguments or TASKS:
            source = Path(folder, TASKS[name].source)
            if not source.exists():
                SETS[TASKS[name].source](source)
            failed += _measure(name, source)
    return 1 if failed else 0


def _measure(name: str, source: Path) -> bool:
    """Print the figures of one task; True if one exceeds its limit or the count is wrong."""
    task = TASKS[name]
    command = [sys.executable, "-m", "tests.load", "--child", name, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: FAIL: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return True
    *notes, stated = done.stdout.splitlines()
    found = json.loads(stated)
    parts = [f"{found['wall_s']:.1f} s"]
    over = found["count"] != task.expected
    for key, unit in (("cpu_s", "CPU s"), ("peak_mib", "MiB"), ("files", "open files")):
        most = getattr(task.limit, key)
        over = over or found[key] > most
        parts.append(f"{found[key]:,.1f} {unit} (limit {most:,.0f})")
    state = "FAIL" if over else "ok"
    print(f"{name}: {state}: {found['count']:,} items: {', '.join(parts)}", flush=True)
    for note in notes:
        print(f"  {note}", flush=True)
    return over


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
