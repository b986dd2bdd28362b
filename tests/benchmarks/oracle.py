"""The lowest figures along a run of the oracle benchmark, each with the other one beside it.

    python -m tests.benchmarks.oracle RUN

Published tables have the lowest NLL_oracle along training, which no held-out lines choose; a fair
checkpoint is that of the lowest held-out NLL. Both are of the measurements in metrics.jsonl.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

FIGURES = ("nll_oracle", "nll_held_out")


def lowest(measured: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The measurement with the lowest value of each figure, by its name."""
    return {name: min(measured, key=lambda line: line[name]) for name in FIGURES}


def table(measured: list[dict[str, Any]]) -> str:
    """Markdown: one line for the lowest of each figure, and the last measurement."""
    heads = ["| | step | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 2) + "|"]
    rows = {f"lowest {name}": line for name, line in lowest(measured).items()}
    rows["last"] = measured[-1]
    return "\n".join(
        heads
        + [
            f"| {name} | {line['step']} | " + " | ".join(f"{line[f]:.3f}" for f in FIGURES) + " |"
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
