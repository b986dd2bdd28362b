"""Held-out likelihood of a generator of text and of the pair with its refiner, in nats.

    python -m tests.benchmarks.refined_likelihood RUN ...

For each run with a refiner (`multigan refine RUN`): the negative log-likelihood of the test lines
under the generator, the gain of the refined distribution with its 95 % interval, and the total of
the pair, a line and a character. A run without one has the first alone. It is the part of
`multigan evaluate` that needs no language model. The last line of a run is JSON.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from multigan.engine.refinement import measure_gain
from multigan.runs.evaluate import NUM_GENERATED
from multigan.storage.loading import load, load_run_data
from multigan.storage.refiners import refiner_file
from multigan.text.metrics.evaluation import heldout_nll


def main() -> None:
    """Print a line for each row of each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--fakes", type=int, default=NUM_GENERATED, help="generated lines")
    arguments = parser.parse_args()
    for run in arguments.runs:
        data = load_run_data(run).split("test")
        generator = load(run).generator
        nll = heldout_nll(generator, data)
        per_character = nll["nll_char"] / nll["nll_line"]
        found = {"run": str(run), "nll_line": nll["nll_line"], "nll_char": nll["nll_char"]}
        print(
            f"{run}: generator {nll['nll_line']:.2f} nats a line, {nll['nll_char']:.4f} a character"
        )
        if refiner_file(run).is_file():
            refined = load(run, refine=True).generator
            gain = measure_gain(
                refined.refiner, refined.card, generator, data, num_fake=arguments.fakes
            )
            total = nll["nll_line"] - gain.nats
            low, high = gain.interval
            print(
                f"{run}: refined {total:.2f} nats a line, {total * per_character:.4f} a character; "
                f"gain {gain.nats:.3f} [{low:.3f}, {high:.3f}] a line; log Z {gain.log_z:.4f} "
                f"lacks about {gain.log_z_bias:.4f}; effective sample size "
                f"{gain.effective_sample_size:.1%} of {gain.num_fake:,}; {gain.num_real:,} real"
            )
            found |= {"refined_nll_line": total, **asdict(gain)}
        print(json.dumps(found))


if __name__ == "__main__":
    main()
