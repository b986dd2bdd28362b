"""Train on 200,000 images that are made here: memory, and the time of a step from the file.

    python -m tests.benchmarks.large_set [--images N] [--steps N] [--blocks N] [--folder PATH]

Each part runs in a process of its own: decoding once, a whole training with its evaluation (peak
memory), and steps from the file against steps from memory, in alternating blocks. A folder that
holds the images already is used again. 1 is returned if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.benchmarks.timing import compare

SIDE, CLASSES, BATCH, WIDTH = 64, 10, 64, 16
MAX_PEAK_MIB, MAX_RATIO = 1536, 1.1
ARCHIVE = "images.zip"


def write_archive(file: Path, count: int) -> None:
    """Write an archive of JPEG files in class folders; no two alike."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(file, "w") as archive:
        for k in range(count):
            small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
            with archive.open(f"class {k % CLASSES}/{k:06d}.jpg", "w") as member:
                large = small.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                large.save(member, "JPEG", quality=75)


def settings(source: str) -> dict[str, Any]:
    """Hyperparameters of the image recipe."""
    return {"data": source, "resolution": SIDE, "width": WIDTH, "batch_size": BATCH}


def decode(source: str, _: argparse.Namespace) -> dict[str, Any]:
    """Read the set with the default choice of where it is kept."""
    from multigan.image.datasets.images import load_images

    data = load_images(source, resolution=SIDE)
    return {"images": len(data), "in_memory": data.in_memory}


def training(source: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train some steps and evaluate, as from the command line."""
    from multigan import train

    with tempfile.TemporaryDirectory() as folder:
        values: dict[str, Any] = settings(source) | {"steps": options.steps, "show": 0}
        run = train("image", out=folder + "/run", save_every=options.steps, **values)
        measured = sorted((run.path / "metrics.jsonl").read_text().splitlines())
    return {"steps": run.step, "evaluations": len(measured)}


def steps(source: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compare a step of the file with one of memory."""
    from multigan.core.recipe_file import build_recipe, read_recipe, resolve_hyperparameters
    from multigan.engine.trainer import AdversarialTrainer
    from multigan.training.allocator import keep_freed_memory

    keep_freed_memory()
    file = read_recipe("image")

    def of(in_memory: str) -> Iterator[Any]:
        values = resolve_hyperparameters(file, settings(source) | {"in_memory": in_memory}, False)
        return iter(AdversarialTrainer(build_recipe(file, values, 0), seed=0).steps())

    ratio = compare(of("no"), of("yes"), options.blocks)
    return {"file_over_memory": ratio._asdict()}


PARTS = {"decode": decode, "open again": decode, "train": training, "step": steps}


def child(part: str, source: str, options: argparse.Namespace) -> None:
    """Run one part in this process and print its figures as JSON."""
    start = time.perf_counter()
    found = PARTS[part](source, options)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found["cpu_s"] = round(sum(u.ru_utime + u.ru_stime for u in used), 1)
    found["wall_s"] = round(time.perf_counter() - start, 1)
    found["peak_mib"] = round(max(u.ru_maxrss for u in used) / 1024)
    print(json.dumps(found))


def main(arguments: list[str]) -> int:
    """Print the figures of every part; 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=11)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args(arguments)
    if options.child:
        child(*options.child, options)
        return 0
    with tempfile.TemporaryDirectory(prefix="multigan-large-") as temporary:
        folder = options.folder or Path(temporary)
        archive = folder / ARCHIVE
        if not archive.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_archive(archive.with_suffix(".part"), options.images)
            archive.with_suffix(".part").rename(archive)
        os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        failed = False
        for part in PARTS:
            command = [sys.executable, "-m", "tests.benchmarks.large_set", *arguments]
            done = subprocess.run(
                [*command, "--child", part, str(archive)], stdout=subprocess.PIPE, text=True
            )
            text = done.stdout.splitlines()[-1] if done.stdout else "{}"
            found = json.loads(text)
            ratio = found.get("file_over_memory", {}).get("wall", 0)
            over = part != "step" and found.get("peak_mib", 0) > MAX_PEAK_MIB
            bad = bool(done.returncode) or over or ratio > MAX_RATIO
            print(f"{part}: {'FAIL' if bad else 'ok'}: {text}", flush=True)
            failed = failed or bad
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
