"""The lowest values of both metrics along a run of the oracle benchmark.

    python -m tests.benchmarks.seqgan_oracle RUN

Published tables have the lowest NLL_oracle along training, which no held-out lines choose; a fair
checkpoint is that of the lowest held-out NLL. Both are of the evaluations in metrics.jsonl.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

METRICS = ("nll_oracle", "nll_held_out")


def lowest(evaluations: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The evaluation with the lowest value of each metric, by its name."""
    return {name: min(evaluations, key=lambda line: line[name]) for name in METRICS}


def table(evaluations: list[dict[str, Any]]) -> str:
    """Markdown: one line for the lowest of each metric, and the last evaluation."""
    heads = ["| | step | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 2) + "|"]
    rows = {f"lowest {name}": line for name, line in lowest(evaluations).items()}
    rows["last"] = evaluations[-1]
    return "\n".join(
        heads
        + [
            f"| {name} | {line['step']} | " + " | ".join(f"{line[f]:.3f}" for f in METRICS) + " |"
            for name, line in rows.items()
        ]
    )


def main() -> None:
    """Print the table of one run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    lines = (parser.parse_args().run / "metrics.jsonl").read_text().splitlines()
    print(table([json.loads(line) for line in lines]))


if __name__ == "__main__":
    main()
