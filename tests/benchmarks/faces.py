"""Evaluate image runs at the class proportions of their data, against every held-out image.

    python -m tests.benchmarks.faces RUN ... --draws 4

2,000 samples of each run, classes in the proportion of the training split, and all images of the
validation and the test split; the floor is 2,000 training images. Features of the classifier that
`multigan evaluate` uses, of the labeled data for unconditional runs too: no FID. Precision, recall
and coverage take 2,000 held-out images. Of several draws of samples the means are printed, and the
standard deviation of the Frechet distance.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multigan.core import fidelity
from multigan.core.rng import keyed_rng
from multigan.core.serialization import with_arguments
from multigan.image.metrics.evaluation import sample_images
from multigan.image.metrics.feature_extractors import AUTO, get_extractor
from multigan.image.metrics.image_metrics import NEIGHBORS, in_chunks
from multigan.image.spec import quantize
from multigan.runs.evaluate import REFINED
from multigan.storage.files import cache_dir
from multigan.storage.loading import load, load_run_data
from multigan.storage.refiners import REFINER_FILE

SAMPLES = 2000
HELD_OUT = ("valid", "test")


def proportional_labels(labels: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw `n` labels in the proportion of `labels`, rounded by the largest remainders."""
    shares = labels.bincount().double() * n / len(labels)
    counts = shares.floor().long()
    order = (shares - counts).argsort(descending=True)
    counts[order[: n - int(counts.sum())]] += 1
    drawn = torch.arange(len(counts)).repeat_interleave(counts)
    return drawn[torch.randperm(n, generator=rng)]


def compare(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Compare features of all held-out images with those of samples."""
    some = real[torch.randperm(len(real), generator=keyed_rng("faces", "real"))[: len(fake)]]
    return {
        "frechet_distance": fidelity.frechet_distance(real, fake),
        **fidelity.precision_recall(some, fake, NEIGHBORS)._asdict(),
        **fidelity.density_coverage(some, fake, NEIGHBORS)._asdict(),
    }


def over_draws(rows: list[dict[str, float]]) -> dict[str, float]:
    """Average the rows of several draws of samples, with the deviation of their distance."""
    means = {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}
    if len(rows) > 1:
        distances = [row["frechet_distance"] for row in rows]
        means["frechet_distance_std"] = statistics.stdev(distances)
    return means


def measure(run: Path, draws: int = 1) -> dict[str, dict[str, float]]:
    """Measure the floor, and samples of a run, `draws` times: refined ones too, by a refiner."""
    data: Any = with_arguments(load_run_data(run), unconditional=False)  # one extractor for all
    spec, train = data.domain, data.split("train")
    extractor = get_extractor(AUTO, train, spec.shape, spec.num_classes, cache_dir(None))

    def features(x: Tensor) -> Tensor:
        return in_chunks(extractor.features, x)

    held_out = [data.split(name) for name in HELD_OUT]
    real = features(torch.cat([part.batch(torch.arange(len(part))).x for part in held_out]))
    some = torch.randperm(len(train), generator=keyed_rng("faces", "train"))[:SAMPLES]
    all_labels = train.batch(torch.arange(len(train))).condition
    generator: Any = load(run).generator
    if generator.example_condition(1) is None:
        all_labels = None

    def row(source: Any) -> dict[str, float]:
        rows = []
        for draw in range(draws):
            key = (draw,) if draw else ()
            labels = all_labels
            if labels is not None:
                rng = keyed_rng("faces", "labels", *key)
                labels = proportional_labels(labels, SAMPLES, rng)
            fake = sample_images(source, SAMPLES, keyed_rng("faces", "samples", *key), labels)
            rows.append(compare(real, features(quantize(fake).x)))
        return over_draws(rows)

    rows = {"real (train)": compare(real, features(train.batch(some).x))}
    if (run / REFINER_FILE).is_file():
        refined: Any = load(run, refine=True).generator
        rows[REFINED] = row(refined)
        rows[REFINED]["candidates_per_sample"] = refined.candidates_per_sample
    return rows | {"generator": row(generator)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--draws", type=int, default=1, help="of 2,000 samples (default: 1)")
    arguments = parser.parse_args()
    for run in arguments.runs:
        for row, values in measure(run, arguments.draws).items():
            print(
                json.dumps(
                    {"run": str(run), "row": row} | {k: round(v, 4) for k, v in values.items()}
                )
            )
