"""Two loops against each other: alternating blocks in one process, the ratio with its interval."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
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
        f"{first:.0f} and {second:.0f} ms a step"
    )
