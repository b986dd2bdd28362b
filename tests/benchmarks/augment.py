"""What generated data are worth: the results of the augment benchmark, draw against draw.

    python -m tests.benchmarks.queue augment     train and judge what has no result yet
    python -m tests.benchmarks.augment           the table: means and gains with 95 % intervals

A gain is the difference between two classifiers in one draw of the known images, so what a draw
is worth to both of them cancels; the interval is Student's, over the draws.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

from scipy.stats import t as student

from tests.benchmarks.queue import jobs

RECIPE = "augment"
SHOWN = ("no_augmentation", "augmentation", "synthetic_only")
GAINS = ("gain_no_augmentation", "gain_augmentation")


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean of `values`; without end for a single one."""
    if len(values) < 2:
        return -math.inf, math.inf
    mean, error = statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values))
    reach = float(student.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean - reach, mean + reach


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown, in percent: a line for each row of the benchmark and source of made images."""
    heads = [*SHOWN, *(name.replace("_", ", ") for name in GAINS)]
    lines = [f"| | draws | made by | {' | '.join(heads)} |", "|---" * (len(heads) + 3) + "|"]
    for row, draws in results.items():
        for source in draws[0]:
            found = {name: [d[source][name] for d in draws] for name in draws[0][source]}
            cells = [_mean(found.get(name)) for name in SHOWN]
            cells += [_gain(found.get(name)) for name in GAINS]
            lines.append(f"| {row} | {len(draws)} | {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: list[float] | None) -> str:
    if values is None:
        return ""
    mean, high = statistics.mean(values), interval(values)[1]
    return f"{100 * mean:.1f} ± {100 * (high - mean):.1f}"


def _gain(values: list[float] | None) -> str:
    if values is None:
        return ""
    low, high = (100 * end for end in interval(values))
    return f"{100 * statistics.mean(values):+.1f} [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    """Print the table of the results there are."""
    results: dict[str, list[dict[str, Any]]] = {}
    for job in jobs([RECIPE]):
        if job.result.is_file():
            measured = json.loads(job.result.read_text())["evaluation"]["rows"]
            results.setdefault(job.row, []).append(measured)
    print(table(results))


if __name__ == "__main__":
    main()
