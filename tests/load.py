"""Read large sets and sample many images within limits of time, memory and open files.

    python -m tests.load [NAME ...]        (make load)

Each measurement runs in a process of its own. A limit that is exceeded is a failure.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

IMAGES = 20_000
SIDE = 64  # pixels of an image
CLASSES = 10
SAMPLES = 10_000


class Limit(NamedTuple):
    """Limits of one measurement: CPU seconds, MiB of peak memory, and open files."""

    cpu_s: float
    peak_mib: float
    files: int


class Figures(NamedTuple):
    """The measured values, and the wall time."""

    cpu_s: float
    peak_mib: float
    files: int
    wall_s: float


def write_images(root: Path, count: int = IMAGES) -> Path:
    """Write `count` JPEG files in class folders; no two alike."""
    rng = np.random.default_rng(0)
    for k in range(count):
        folder = root / f"class {k % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        image.save(folder / f"{k:06d}.jpg", quality=90)
    return root


def read_set(source: str) -> int:
    """Read a folder of images; the number of images."""
    from multigan.image.datasets.images import load_images

    return len(load_images(source, resolution=SIDE))


def sample_images(source: str) -> int:
    """Sample images from the packaged generator; `source` is the folder to write to."""
    from multigan.image import load

    sampler = load("image")
    samples = sampler.sample(SAMPLES)
    sampler.domain.write(samples, Path(source))
    return len(list(Path(source).glob("[0-9]*.png")))


# Name -> function, the expected count, and the limits.
TASKS: dict[str, tuple[Callable[[str], int], int, Limit]] = {
    "read": (read_set, IMAGES, Limit(cpu_s=100, peak_mib=1300, files=32)),
    "read again": (read_set, IMAGES, Limit(cpu_s=20, peak_mib=1200, files=32)),
    "sample": (sample_images, SAMPLES, Limit(cpu_s=400, peak_mib=1500, files=64)),
}


def child(name: str, source: str) -> None:
    """Run one task in this process and print its figures as JSON."""
    import threading

    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], len(os.listdir("/proc/self/fd")))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.monotonic()
    count = TASKS[name][0](source)
    wall = time.monotonic() - start
    done.set()
    watcher.join()
    own, others = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    figures = Figures(cpu, max(own.ru_maxrss, others.ru_maxrss) / 1024, most[0], wall)
    print(json.dumps({"count": count, **figures._asdict()}))


def main(arguments: list[str]) -> int:
    """Measure every task, or the named ones; 1 if a limit is exceeded."""
    if not sys.platform.startswith("linux"):
        print("skipped: open files are counted in /proc, which only Linux has")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix="multigan-load-") as folder:
        images = write_images(Path(folder, "images"))
        sources = {"sample": Path(folder, "samples")}
        os.environ |= {"XDG_CACHE_HOME": str(Path(folder, "cache")), "OMP_NUM_THREADS": "1"}
        for name in arguments or TASKS:
            source = str(sources.get(name, images))
            failed += _measure(name, source)
    return 1 if failed else 0


def _measure(name: str, source: str) -> bool:
    """Print the figures of one task; True if one exceeds its limit or the count is wrong."""
    _, expected, limit = TASKS[name]
    command = [sys.executable, "-m", "tests.load", "--child", name, source]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: FAIL: {done.stderr.strip().splitlines()[-1:]}")
        return True
    found = json.loads(done.stdout.splitlines()[-1])
    parts = [f"{found['wall_s']:.1f} s"]
    over = found["count"] != expected
    for key, unit in (("cpu_s", "CPU s"), ("peak_mib", "MiB"), ("files", "open files")):
        most = getattr(limit, key)
        over = over or found[key] > most
        parts.append(f"{found[key]:,.0f} {unit} (limit {most:,.0f})")
    print(f"{name}: {'FAIL' if over else 'ok'}: {found['count']:,} items: {', '.join(parts)}")
    return over


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
