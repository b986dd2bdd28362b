"""Evaluate a generator of images with bounded latents: python -m tests.benchmarks.truncation RUN.

One row of JSON for each limit of `multigan sample --truncation`, on the test split of the digits.
"""

import json
import sys

from multigan.core.rng import keyed_rng
from multigan.image.datasets.images import load_images
from multigan.image.metrics.evaluation import evaluate
from multigan.image.sampling import TruncatedLatents
from multigan.storage.files import default_cache_dir
from multigan.storage.loading import load

LIMITS = (None, 2.0, 1.5, 1.0)


def main(run: str) -> None:
    """Print the metrics at each limit."""
    sampler, data = load(run), load_images("digits", resolution=16).split("test")
    for limit in LIMITS:
        source = sampler.generator
        if limit is not None:
            source = TruncatedLatents(source, limit)
        rng = keyed_rng(0, "truncation")
        table = evaluate(sampler.domain, source, data, rng, default_cache_dir())
        print(json.dumps({"limit": limit, **table.rows["generator"]}))


if __name__ == "__main__":
    main(sys.argv[1])
