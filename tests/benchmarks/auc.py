"""Overfitting of a discriminator: AUC on training data against validation data.

    python -m tests.benchmarks.auc RUN ...

The AUC of the mean logit of real samples against as many generated ones of the same step: .5 is
chance. The difference between training and validation data is overfitting.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multigan.core.modules import sample_batch
from multigan.core.recipe import recipe_from_json
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.engine.objective import as_weighted_logits
from multigan.runs.checkpoint import load_checkpoint
from multigan.runs.directory import RunDirectory

SAMPLES = 1000  # of each side, at most
BATCH_SIZE = 100
SPLITS = ("train", "valid")


def auc(real: Tensor, fake: Tensor) -> float:
    """Return the probability that the logit of a real sample is larger; ties count half."""
    return float(((real[:, None] > fake).double() + (real[:, None] == fake).double() / 2).mean())


@torch.no_grad()
def discriminator_auc(run: Path) -> dict[str, float]:
    """Compute the AUC of each of SPLITS. Raises ValueError for a run without a checkpoint."""
    recipe: Any = recipe_from_json(RunDirectory(run).read_config()["recipe"])
    networks = {"generator": recipe.generator, "discriminator": recipe.discriminator.eval()}
    if load_checkpoint(run, networks) is None:
        raise ValueError(f"{run} must have an intact checkpoint; got none")
    found = {}
    for name in SPLITS:
        data = recipe.data.split(name)
        n = min(SAMPLES, len(data))
        batch = data.batch(torch.linspace(0, len(data) - 1, n).long(), keyed_rng("auc"))
        fake = sample_batch(recipe.generator, n, keyed_rng("auc", "latent"), batch.condition)
        sides = (_logits(recipe.discriminator, x, batch.condition) for x in (batch.x, fake))
        found[name] = auc(*sides)
    return found


def _logits(discriminator: Any, x: Tensor, condition: Any) -> Tensor:
    """Return the mean logit of each sample (N,)."""
    found = []
    for k in range(0, len(x), BATCH_SIZE):
        part = tree_map(lambda leaf, k=k: leaf[k : k + BATCH_SIZE], (x, condition))
        found.append(as_weighted_logits(discriminator(*part)).per_sample())
    return torch.cat(found)


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    for run in parser.parse_args().runs:
        print(f"{run}: " + ", ".join(f"{k} {v:.3f}" for k, v in discriminator_auc(run).items()))


if __name__ == "__main__":
    main()
