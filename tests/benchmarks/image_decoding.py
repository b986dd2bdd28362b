"""Time to load a folder of images: decoded, then from the cache.

    python -m tests.benchmarks.image_decoding [--files 10000]

Files of 64x64 color pixels, half PNG and half JPEG, are generated. The command that reads them runs
in its own process with an empty cache, the import of torch included. The target is 30 s for 10,000
on two free cores. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

FILES, SIDE, TARGET_S = 10_000, 64, 30


def write_folder(folder: Path, files: int) -> None:
    """Write smooth noise, all images distinct, in two classes."""
    rng = np.random.default_rng(0)
    for number in range(files):
        noise = Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8))
        kind = ("png", "jpg")[number % 2]
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(place / f"{number:05d}.{kind}")


def loading_times(files: int) -> dict[str, float]:
    """Measure wall and CPU seconds without and with the cache."""
    with tempfile.TemporaryDirectory() as folder:
        source, found = Path(folder, "images"), {}
        write_folder(source, files)
        command = [sys.executable, "-m", "multigan", "image", "inspect", str(source)]
        for name in ("decoded", "cached"):
            start, before = time.perf_counter(), _cpu_seconds()
            env = os.environ | {"XDG_CACHE_HOME": str(Path(folder, "cache"))}
            result = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
            assert f"{files:,} color images" in result.stdout, result.stdout
            found[f"{name}_s"] = time.perf_counter() - start
            found[f"{name}_cpu_s"] = _cpu_seconds() - before
    return found


def _cpu_seconds() -> float:
    """Return the CPU seconds of finished child processes."""
    spent = os.times()
    return spent.children_user + spent.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    files = parser.parse_known_args()[0].files
    found = loading_times(files)
    print(
        f"images: {files:,} files of {SIDE}x{SIDE} ready in {found['decoded_s']:.1f} s "
        f"({found['decoded_cpu_s']:.1f} s of CPU), from the cache in {found['cached_s']:.1f} s "
        f"(target for {FILES:,}: {TARGET_S} s on two free cores)"
    )
    print(json.dumps({"images": found | {"files": files}}))


if __name__ == "__main__":
    main()
