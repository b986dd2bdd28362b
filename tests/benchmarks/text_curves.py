"""Quality against diversity of text from several runs, along the sampling temperature.

    python -m tests.benchmarks.text_curves generator=RUN refined=RUN distilled=RUN --data coco

All are compared with the test lines of the first run's data, which `--data` may locate. A run that
is given as `refined` is sampled with its refiner (`multigan refine RUN`). Prints the metrics of one
sample a point as Markdown; then, for every run, its curve relative to that of the first.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multigan.storage.files import cache_dir
from multigan.storage.loading import in_domain, load, load_run_data
from multigan.text.analysis.temperature_sweep import SweepPoint, comparison, measure_points

REFINED = "refined"
METRICS = ("nll_line", "lm_nll", "reverse_lm_nll", "frechet", "mauve")


def named_run(argument: str) -> tuple[str, Path]:
    """Parse NAME=RUN."""
    name, _, run = argument.partition("=")
    if not name or not run:
        raise argparse.ArgumentTypeError(f"must be NAME=RUN; got {argument!r}")
    return name, Path(run)


def table(points: Sequence[SweepPoint]) -> str:
    """Format Markdown: a line for each point."""
    lines = [f"| | temperature | {' | '.join(METRICS)} |", "|---" * (len(METRICS) + 2) + "|"]
    for name, inverse_temperature, row in points:
        cells = [f"{row[metric]:.4g}" if metric in row else "" for metric in METRICS]
        lines.append(f"| {name} | {1 / inverse_temperature:.3g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the table and the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=named_run, metavar="NAME=RUN")
    parser.add_argument("--data", help="the present location of the first run's data")
    parser.add_argument(
        "--temperatures", nargs="+", type=float, default=[0.8, 0.9, 1.0, 1.1], metavar="FLOAT"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampled lines")
    chosen = parser.parse_args(arguments)
    samplers = {name: load(run, domain="text", refine=name == REFINED) for name, run in chosen.runs}
    first = chosen.runs[0]
    domain: Any = samplers[first[0]].domain
    held_out = in_domain(load_run_data(first[1], chosen.data), domain).split("test")
    inverse = [1 / temperature for temperature in chosen.temperatures]
    points, noise = measure_points(samplers, held_out, inverse, chosen.seed, cache_dir(None))
    print(table(points))
    print(f"deviation of reverse_lm_nll between samples of one run at temperature 1: {noise:.4f}")
    for name in list(samplers)[1:]:
        print(comparison(points, noise, name, first[0]))


if __name__ == "__main__":
    main()
