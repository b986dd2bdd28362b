"""Accuracy gains of synthetic data: the results of the augment benchmark, paired by subset.

    python -m tests.benchmarks.queue augment     train and evaluate runs without a result
    python -m tests.benchmarks.augment           the table: means and gains with 95 % intervals

A gain is the difference between two classifiers on one subset of the training images, so the effect
of the subset cancels; the interval is that of Student's t over the subsets.
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
COLUMNS = ("no_augmentation", "augmentation", "synthetic_only")
GAINS = ("gain_no_augmentation", "gain_augmentation")


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return the interval of Student's t of the mean of `values`; infinite for one value."""
    if len(values) < 2:
        return -math.inf, math.inf
    mean, error = statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values))
    reach = float(student.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean - reach, mean + reach


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """Format Markdown, in percent: a line for each row and source of synthetic images."""
    heads = [*COLUMNS, *(name.replace("_", ", ") for name in GAINS)]
    lines = [f"| | subsets | source | {' | '.join(heads)} |", "|---" * (len(heads) + 3) + "|"]
    for row, subsets in results.items():
        for source in subsets[0]:
            found = {name: [s[source][name] for s in subsets] for name in subsets[0][source]}
            cells = [_mean(found.get(name)) for name in COLUMNS]
            cells += [_gain(found.get(name)) for name in GAINS]
            lines.append(f"| {row} | {len(subsets)} | {source} | {' | '.join(cells)} |")
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
    """Print the table of all results."""
    results: dict[str, list[dict[str, Any]]] = {}
    for job in jobs([RECIPE]):
        if job.result.is_file():
            rows = json.loads(job.result.read_text())["evaluation"]["rows"]
            results.setdefault(job.row, []).append(rows)
    print(table(results))


if __name__ == "__main__":
    main()
