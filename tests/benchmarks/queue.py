"""`make benchmarks`: the published protocols of recipes/benchmarks, one run after the other.

    python -m tests.benchmarks.queue [RECIPE ...]        run what has no result yet
    python -m tests.benchmarks.queue --table RECIPE      mean and spread over seeds, as Markdown

A recipe names its rows in ROWS (row -> hyperparameters) and its seeds in SEEDS.
Every (recipe, row, seed) is trained in one thread, evaluated, and written to
recipes/benchmarks/results/ as one JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from multigan.core.recipe_file import read_recipe, recipe_names, recipes_folder
from multigan.storage.files import write_atomically

RESULTS = recipes_folder() / "benchmarks" / "results"
FOLDER = "benchmarks/"
SUBSET_SEED = "subset_seed"  # the parameter of a recipe whose data are a random subset: the seed


class Job(NamedTuple):
    """One run of a benchmark recipe."""

    recipe: str  # without its folder
    row: str
    seed: int
    hyperparameters: dict[str, Any]

    @property
    def result(self) -> Path:
        """The file of its result."""
        return RESULTS / f"{self.recipe}-{self.row}-{self.seed}.json"

    def options(self) -> list[str]:
        """The options of `multigan train` that make this run."""
        hyperparameters = [
            f"--{name.replace('_', '-')}={value}" for name, value in self.hyperparameters.items()
        ]
        return [FOLDER + self.recipe, *hyperparameters, f"--seed={self.seed}"]


def jobs(recipes: list[str]) -> Iterator[Job]:
    """All runs of the recipes, seed by seed, so that every row has a first number early."""
    for name in recipes:
        file = read_recipe(FOLDER + name)
        draws = any(hyperparameter.name == SUBSET_SEED for hyperparameter in file.hyperparameters)
        for seed in range(file.seeds):
            for row, hyperparameters in file.rows.items():
                yield Job(
                    name, row, seed, dict(hyperparameters) | ({SUBSET_SEED: seed} if draws else {})
                )


def run(job: Job) -> None:
    """Train and evaluate one job; write its result."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        start, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        _multigan("train", *job.options(), f"--out={out}", "--sample-every=1000000")
        wall, after = time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        _multigan("evaluate", str(out))
        measured = json.loads((out / "evaluation.json").read_text())
    result = {
        "command": " ".join(["multigan train", *job.options()]),
        "row": job.row,
        "seed": job.seed,
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
        ),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread",
        "evaluation": measured,
    }
    job.result.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(job.result, json.dumps(result, indent=1).encode())


def _multigan(*arguments: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "multigan", *arguments], check=True, env=environment)


def table(recipe: str) -> str:
    """The last row of each run's evaluation, mean and standard deviation over seeds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for job in jobs([recipe]):
        if job.result.is_file():
            found.setdefault(job.row, []).append(json.loads(job.result.read_text()))
    measured = {
        row: [list(result["evaluation"]["rows"].values())[-1] for result in results]
        for row, results in found.items()
    }
    metrics = list(next(iter(measured.values()), [{}])[0])
    lines = ["| | seeds | CPU s | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 3) + "|"]
    for row, results in measured.items():
        seconds = statistics.mean(result["cpu_seconds"] for result in found[row])
        cells = [_spread([result.get(metric) for result in results]) for metric in metrics]
        lines.append(f"| {row} | {len(results)} | {seconds:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(values: list[float | None]) -> str:
    if any(value is None for value in values):
        return ""
    numbers = [value for value in values if value is not None]
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
    return f"{statistics.mean(numbers):.3g} ± {deviation:.2g}"


def main() -> None:
    """Run the queue, or print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", help="names in recipes/benchmarks; else all")
    parser.add_argument("--table", action="store_true", help="print the results there are")
    asked = parser.parse_args()
    every = [name.removeprefix(FOLDER) for name in recipe_names() if name.startswith(FOLDER)]
    recipes = asked.recipes or every
    if asked.table:
        print("\n\n".join(table(recipe) for recipe in recipes))
        return
    failed: list[str] = []
    for job in jobs(recipes):
        if job.result.is_file():
            print(f"{job.result.name}: there already")
        else:
            print(f"{job.result.name}: {' '.join(job.options())}", flush=True)
            try:
                run(job)
            except subprocess.CalledProcessError:  # it has said why: data that are not here, say
                failed.append(job.result.name)
    if failed:
        sys.exit(f"not run: {', '.join(failed)}")


if __name__ == "__main__":
    main()
