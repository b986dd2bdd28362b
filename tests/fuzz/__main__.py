"""`make fuzz`: thousands of spoilt files for every reader; `python -m tests.fuzz 100 midi` some."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.fuzz.harness import READERS, Fed, feed

INPUTS = 12_000  # over all readers
ROW = "{:<28} {:>6} {:>8} {:>12} {:>10} {:>11}"


def shares(total: int, names: list[str]) -> dict[str, int]:
    """How many inputs each reader gets."""
    whole = sum(READERS[name].share for name in names)
    return {name: round(total * READERS[name].share / whole) for name in names}


def line(name: str, fed: Fed) -> str:
    slowest, peak = f"{fed.slowest_seconds:.2f} s", f"{fed.peak_bytes / 1e6:.0f} MB"
    return ROW.format(name, fed.inputs, fed.refused, slowest, peak, len(fed.failures))


def main(arguments: list[str]) -> int:
    """Feed the named readers, or all; print a row for each; 1 if one of them failed."""
    total = int(arguments[0]) if arguments else INPUTS
    seed = int(os.environ.get("FUZZ_SEED", "0"))
    results = {}
    print(ROW.format("reader", "inputs", "refused", "slowest", "memory", "tracebacks"))
    with tempfile.TemporaryDirectory(prefix="multigan-fuzz-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for name, count in shares(total, arguments[1:] or list(READERS)).items():
            results[name] = feed(name, count, Path(folder, name.replace(" ", "-")), seed)
            print(line(name, results[name]), flush=True)
            for wrong, file in results[name].failures.items():
                print(f"    {wrong}: {file}", flush=True)
    inputs = sum(fed.inputs for fed in results.values())
    failed = sum(len(fed.failures) for fed in results.values())
    print(f"{inputs:,} mutated inputs, {failed} tracebacks")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
