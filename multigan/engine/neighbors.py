"""Nearest neighbors of samples among training and held-out items, measured at each checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multigan.core.modules import device_of, eval_mode, sample_batch
from multigan.core.protocols import (
    Batch,
    Condition,
    Dataset,
    Discriminator,
    Generator,
    SupportsKeyedBatches,
)
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat, tree_leaves, tree_map
from multigan.engine.diversity import (
    condition_groups,
    mean_distance_ratio,
    pairs_of_one_condition,
)
from multigan.engine.objective import as_weighted_logits

MAX_HELD_OUT, MIN_HELD_OUT = 256, 4  # items that samples are compared with
MIN_SAMPLES = 128  # likewise more samples than held-out items, where these are few
MAX_TRAIN, MAX_TRAIN_READ = 2048, 512  # training items; of a set that draws
MAX_VALUES = 1 << 25  # of the training items: 128 MiB
MAX_PRODUCTS = 4e9  # multiplications of one distance matrix: about .2 s of a CPU core
MAX_ROTATED = 512  # rows whose distances are taken in as many dimensions, where they have more
MAX_MAGNITUDE = 1e15  # of the values of samples: the squares of larger ones overflow
BATCH = 64  # samples per forward pass
MAX_BINS, ITEMS_PER_BIN, BIN_ITERATIONS = 32, 8, 5
DIRECTIONS, SUBSPACE_ITERATIONS = 8, 4  # in which diversity is measured, and to find them
NEARER = 2  # items with a smaller distance than a copy may have, so that no single one decides
MIN_REFERENCES = 64  # distances of data that copies are compared with


@torch.no_grad()
def neighbor_metrics(
    generator: Generator,
    discriminator: Discriminator,
    train: Dataset,
    held_out: Dataset,
    seed: int,
    step: int,
) -> dict[str, float]:
    """Compare samples with training and held-out items by distances in the space of `Batch.x`.

    The samples have the conditions of the held-out items, several each where these are few.

    distance_ratio: median distance to the nearest training item, over that of held-out items.
    copies: fraction of samples nearer to a training item than all held-out items but NEARER are;
        `copies_by_chance` is its expectation for samples as good as held-out items. Where these are
        few, the distances of training items to the nearest other one join theirs.
    train_share: see `_train_share`; with train_chance and train_z.
    two_sample_accuracy: leave-one-out accuracy of a nearest-neighbor classifier of samples and
        held-out items; .5 where nothing separates them (Lopez-Paz and Oquab 2017).
    missing_fraction: fraction of the held-out items in bins without any sample; the bins are
        k-means clusters of the training items (Richardson and Weiss 2018).
    diversity, diversity_within_condition: see `_principal_diversity`; `spread` and
        `spread_within_condition` are the same in all directions, where noise counts.
    condition_*: see `_condition_metrics`.

    Empty for fewer than MIN_HELD_OUT items in a split, or samples that are not finite.
    """
    if min(len(train), len(held_out)) < MIN_HELD_OUT:
        return {}
    rng = keyed_rng(seed, "neighbors", step)
    real = random_items(held_out, MAX_HELD_OUT, rng)
    size = real.x[0].numel()
    n = max(MIN_HELD_OUT, min(len(real.x), int((MAX_PRODUCTS / size) ** 0.5)))
    real = tree_map(lambda leaf: leaf[:n], real)
    most = min(MAX_TRAIN, MAX_VALUES // size, int(MAX_PRODUCTS / (size * n)))
    known = random_items(train, max(MIN_HELD_OUT, most), rng)
    count = max(n, min(MIN_SAMPLES, int((MAX_PRODUCTS / size) ** 0.5)))
    repeated = torch.arange(count) % len(real.x)
    samples = _sample(generator, tree_map(lambda leaf: leaf[repeated], real.condition), count, rng)
    if not samples.isfinite().all():
        return {}
    samples = samples.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE)
    center = known.x.float().flatten(1).mean(0)
    rows = _rotated([x.float().flatten(1) - center for x in (samples, real.x, known.x)])
    values = _distance_metrics(rows) | {"missing_fraction": _missing_fraction(rows, rng)}
    rows[0] = rows[0][: len(real.x)]  # as many as held-out items
    values |= _principal_diversity(rows, real.condition, known.condition, rng)
    values |= _condition_metrics(rows, real, known, discriminator)
    return {name: float(value) for name, value in values.items()}


def random_items(data: Dataset, most: int, rng: torch.Generator) -> Batch:
    """Return at most `most` items of a dataset, on the CPU; all of a smaller one."""
    most = min(len(data), min(most, MAX_TRAIN_READ) if data.is_stochastic else most)
    indices = torch.randperm(len(data), generator=rng)[:most]
    if not data.is_stochastic:
        items = data.batch(indices)
    else:
        rngs = [keyed_rng(rng.initial_seed(), "item", int(k)) for k in indices]
        if isinstance(data, SupportsKeyedBatches):
            items = data.keyed_batch(indices, rngs)
        else:
            parts = zip(indices, rngs, strict=True)
            items = tree_cat([data.batch(k[None], item_rng) for k, item_rng in parts])
    on_cpu: Batch = tree_map(lambda leaf: leaf.cpu(), items)
    return on_cpu


def _sample(generator: Generator, condition: Condition, n: int, rng: torch.Generator) -> Tensor:
    """Sample (n, ...), one for each row of the condition, on the CPU."""
    parts = []
    for first in range(0, n, BATCH):
        part = tree_map(lambda leaf, k=first: leaf[k : k + BATCH], condition)
        parts.append(sample_batch(generator, min(BATCH, n - first), rng, part))
    return torch.cat(parts)


def _rotated(rows: list[Tensor]) -> list[Tensor]:
    """Return the rows in as many dimensions as there are rows, where they are few and have more.

    Their inner products stay the same but for rounding, so distances and means do, at a fraction of
    the work: a line of text has half a million values, and each distance matrix copies them.
    """
    every = torch.cat(rows)
    if len(every) >= every.shape[1] or len(every) > MAX_ROTATED:
        return rows
    values, vectors = torch.linalg.eigh((every @ every.T).double())
    coordinates = (vectors * values.clamp_min(0).sqrt()).float()
    return list(coordinates.split([len(side) for side in rows]))


def _distance_metrics(rows: list[Tensor]) -> dict[str, Any]:
    """Return how near samples are to training items, and whether held-out items differ."""
    fake, real, known = rows
    to_known = torch.cdist(fake, known)
    nearest, expected = to_known.amin(1), torch.cdist(real, known).amin(1)
    if len(expected) < MIN_REFERENCES:
        own = torch.cdist(known, known).fill_diagonal_(torch.inf).amin(1)
        expected = torch.cat([expected, own])
    threshold = expected.sort().values[NEARER]
    ratio = nearest.median() / expected.median()
    both = torch.cat([fake[: len(real)], real])
    between = torch.cdist(both, both).fill_diagonal_(torch.inf)
    is_real = torch.arange(len(both)) >= len(real)
    values = {
        "copies": (nearest < threshold).float().mean(),
        "copies_by_chance": (NEARER + 1) / (len(expected) + 1),
        "two_sample_accuracy": (is_real[between.argmin(1)] == is_real).float().mean(),
        **_train_share(torch.cat([torch.cdist(fake, real), to_known], 1), len(real)),
    }
    return values | ({"distance_ratio": ratio} if expected.median() > 0 else {})


def _train_share(distances: Tensor, held_out: int) -> dict[str, Any]:
    """Return how often the nearest of all items is a training item, from distances (S, N) to them.

    The first `held_out` of the N items are the held-out ones, so they win ties. Wherever samples
    lie, each item is as likely to be a training item as any other, unless the generator knows it:
    `train_share` is the fraction of samples, `train_chance` its expectation, and `train_z` the
    difference in standard deviations over all ways to choose the training items.

    Source: Platzer and Reutterer 2021, "Holdout-based empirical assessment of mixed-type synthetic
    data", share of records nearer to training data.
    """
    samples, items = distances.shape
    masses = distances.argmin(1).bincount(minlength=items).double() / samples
    chance = 1 - held_out / items
    share = masses[held_out:].sum()
    variance = held_out * chance * masses.var()  # of a sum over a random subset of the items
    return {
        "train_share": share,
        "train_chance": chance,
        "train_z": (share - chance) / variance.sqrt() if variance > 0 else 0.0,
    }


def _missing_fraction(rows: list[Tensor], rng: torch.Generator) -> Tensor:
    """Return the fraction of held-out rows in clusters of training rows without any sample."""
    fake, real, known = rows
    bins = min(MAX_BINS, max(2, len(known) // ITEMS_PER_BIN))
    centers = known[torch.randperm(len(known), generator=rng)[:bins]]
    for _ in range(BIN_ITERATIONS):
        nearest = torch.cdist(known, centers).argmin(1)
        counts = nearest.bincount(minlength=len(centers))
        sums = torch.zeros_like(centers).index_add_(0, nearest, known)
        centers = (sums / counts.clamp_min(1)[:, None])[counts > 0]
    own, found = (torch.cdist(side, centers).argmin(1) for side in (real, fake))
    visited = found.bincount(minlength=len(centers)) > 0
    return (~visited[own]).float().mean()


def _principal_diversity(
    rows: list[Tensor], condition: Condition, known_condition: Condition, rng: torch.Generator
) -> dict[str, Any]:
    """Return the mean distance between samples over that between held-out items.

    Taken in the DIRECTIONS in which training items vary most, so that noise is no diversity.
    `diversity_within_condition` is of pairs of one condition, in the directions in which training
    items of one condition vary.
    """
    fake, real, known = rows
    everyone = torch.ones(len(real), len(real), dtype=torch.bool).fill_diagonal_(False)
    basis = _principal_directions(known, rng)
    ratios = {
        "diversity": mean_distance_ratio(real @ basis, fake @ basis, everyone),
        "spread": mean_distance_ratio(real, fake, everyone),
    }
    same = pairs_of_one_condition(condition)
    groups = condition_groups(known_condition)
    if same is not None and groups is not None:
        counts = groups.bincount()
        means = torch.zeros(len(counts), known.shape[1]).index_add_(0, groups, known)
        basis = _principal_directions(known - (means / counts[:, None])[groups], rng)
        within = mean_distance_ratio(real @ basis, fake @ basis, same)
        ratios["diversity_within_condition"] = within
        ratios["spread_within_condition"] = mean_distance_ratio(real, fake, same)
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def _principal_directions(rows: Tensor, rng: torch.Generator) -> Tensor:
    """Return the first principal directions (F, DIRECTIONS) of centered rows.

    Source: Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4.
    """
    basis = torch.randn(rows.shape[1], min(DIRECTIONS, *rows.shape), generator=rng)
    for _ in range(SUBSPACE_ITERATIONS):
        basis = torch.linalg.qr(rows.T @ (rows @ basis)).Q
    return basis


def _condition_metrics(
    rows: list[Tensor], real: Batch, known: Batch, discriminator: Discriminator
) -> dict[str, Any]:
    """Return how far samples follow their conditions, and whether items do.

    condition_fake, condition_real: fraction of samples and of held-out items whose nearest training
        item has their condition; `condition_chance` is the fraction for a random training item.
    condition_auc: probability that the discriminator scores a held-out item with its own condition
        above one with the condition of another item.

    Empty unless most held-out conditions occur in the training items, and more than one does.
    """
    if not tree_leaves(real.condition):
        return {}
    groups = condition_groups(tree_cat([real.condition, known.condition]))
    assert groups is not None  # there are leaves
    own, others = groups[: len(real.x)], groups[len(real.x) :]
    shares = (own[:, None] == others).float().mean(1)
    if (shares > 0).float().mean() < 0.5 or len(own.unique()) < 2:
        return {}
    agrees = [(others[torch.cdist(side, rows[2]).argmin(1)] == own).float() for side in rows[:2]]
    return {
        "condition_fake": agrees[0].mean(),
        "condition_real": agrees[1].mean(),
        "condition_chance": shares.mean(),
        "condition_items": len(own),
        "condition_auc": _condition_auc(discriminator, real, own),
    }


def _condition_auc(discriminator: Discriminator, real: Batch, groups: Tensor) -> Tensor:
    """Return the AUC of logits with the own condition against those with another one."""
    order = groups.argsort(stable=True)
    half = len(order) // 2
    partner = torch.empty_like(order)
    partner[order] = order.roll(-half)  # half of all rows away in the order of the groups
    swapped = tree_map(lambda leaf: leaf[partner], real.condition)
    device = device_of(discriminator)
    with eval_mode(discriminator):
        logits = [
            as_weighted_logits(
                discriminator(*tree_map(lambda leaf: leaf.to(device), (real.x, one)))
            ).per_sample()
            for one in (real.condition, swapped)
        ]
    changed = (groups[partner] != groups).to(device)
    wins = (logits[0] > logits[1]).float() + 0.5 * (logits[0] == logits[1]).float()
    return wins[changed].mean() if changed.any() else torch.tensor(0.5)
