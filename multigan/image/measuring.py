"""`multigan image measure`: a run seen through another extractor, or on more pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from multigan.caches import cache_folder
from multigan.image.evaluation import COMPARED, evaluate
from multigan.image.extractors import AUTO
from multigan.part import rebuild
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
    held = _data_of(run, data).split(split)
    domain: Any = sampler.domain
    rng = keyed_rng(seed, "evaluate")
    table = evaluate(domain, sampler.generator, held, rng, cache_folder(cache), extractor, count)
    print(table.markdown())


def _data_of(run: Path, source: str | None) -> Any:
    """The training data of a run, or the same kind of data from another source."""
    try:
        stored = json.loads((run / "recipe.json").read_text())["recipe"]["data"]
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"{run} is no run directory with a whole recipe.json") from error
    if source is not None:
        stored = stored | {"arguments": stored["arguments"] | {"source": source}}
    return rebuild(stored)
