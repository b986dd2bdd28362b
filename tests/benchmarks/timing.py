"""Two loops against each other: alternating blocks, the ratio with its interval."""

from __future__ import annotations

import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

STEPS_PER_BLOCK = 3
WARM_UP_STEPS = 2


class Ratio(NamedTuple):
    """Median of `first / second` over the blocks, 95 % interval, of CPU and of wall time."""

    cpu: float
    low: float
    high: float
    wall: float
    milliseconds: tuple[float, float]  # CPU time of a step: medians of first and second


class RemoteSteps:
    """Steps in a process of their own, which `command` starts and `serve` answers in."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __iter__(self) -> RemoteSteps:
        return self

    def __next__(self) -> tuple[float, float]:
        """Run one block of steps; return its CPU and wall seconds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        cpu, wall, self.page_faults = json.loads(self._process.stdout.readline())
        return cpu, wall

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve(steps: Iterator[Any]) -> None:
    """Run a block of steps for each line of the input; print its seconds and page faults."""
    for _ in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        seconds = timed(steps)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        print(json.dumps([*seconds, faults / STEPS_PER_BLOCK]), flush=True)


def compare(first: Iterator[Any], second: Iterator[Any], blocks: int) -> Ratio:
    """Run both in turns; every other block starts with the second one."""
    times: list[list[tuple[float, float]]] = [[], []]
    for contestant in (first, second):
        for _ in range(WARM_UP_STEPS):
            next(contestant)
    for block in range(blocks):
        for place in (0, 1) if block % 2 == 0 else (1, 0):
            times[place].append(timed((first, second)[place]))
    cpu = sorted(a[0] / b[0] for a, b in zip(*times, strict=True))
    wall = statistics.median(a[1] / b[1] for a, b in zip(*times, strict=True))
    low, high = median_interval(cpu)
    steps = [1000 * statistics.median(t[0] for t in side) / STEPS_PER_BLOCK for side in times]
    return Ratio(statistics.median(cpu), low, high, wall, (steps[0], steps[1]))


def timed(steps: Iterator[Any]) -> tuple[float, float]:
    """CPU and wall seconds of one block."""
    if isinstance(steps, RemoteSteps):
        return next(steps)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(STEPS_PER_BLOCK):
        next(steps)
    return time.process_time() - cpu, time.perf_counter() - wall


def median_interval(ordered: list[float], level: float = 0.95) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the median with probability `level`."""
    n, outside, k = len(ordered), 0.0, 0
    while k < n // 2 and 2 * (outside + math.comb(n, k) / 2**n) <= 1 - level:
        outside += math.comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return ordered[k - 1], ordered[n - k]


def line(ratio: Ratio) -> str:
    first, second = ratio.milliseconds
    return (
        f"{ratio.cpu:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]  wall {ratio.wall:.3f}  "
        f"{first:.3g} and {second:.3g} ms a step"
    )
