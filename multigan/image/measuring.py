"""`multigan image measure`: a run seen through another extractor, or on more pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from multigan.caches import cache_folder
from multigan.image.evaluation import COMPARED, evaluate
from multigan.image.extractors import AUTO
from multigan.rebuilt import data_of_run
from multigan.rng import keyed_rng
from multigan.sampler import load


def measure(
    run: Path,
    *,
    extractor: str = AUTO,
    count: int = COMPARED,
    split: str = "test",
    data: str | None = None,
    seed: int = 0,
    cache: Path | None = None,
) -> None:
    """Measure a run through another extractor, or on more pictures; prints the table.

    extractor: auto, classifier, random, random:SEED, or a TorchScript file (it is run: trust it)
    count: pictures in each row, about, at most
    split: of the data, that is measured against: test or valid
    data: where the same kind of data lie now
    seed: of the samples that are measured
    cache: where helper models are kept
    """
    sampler = load(run, domain="image")
    if split not in ("test", "valid"):
        raise ValueError(f"split is {split!r}; wanted test or valid")
    held = data_of_run(run, data).split(split)
    domain: Any = sampler.domain
    rng = keyed_rng(seed, "evaluate")
    table = evaluate(domain, sampler.generator, held, rng, cache_folder(cache), extractor, count)
    print(table.markdown())
