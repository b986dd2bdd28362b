"""What is measured on pictures; whatever looks at features says through which extractor.

No extractor here is Inception unless the user brings it: no figure is an FID by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.core import fidelity
from multigan.core.protocols import Batch
from multigan.image.metrics.balanced_subsets import CHUNK
from multigan.image.metrics.feature_extractors import Extractor

NEIGHBOURS = 5  # k of precision, recall, density and coverage
REMEMBERED = 10_000  # training pictures that a sample is held against, at most
SUBSETS = 100  # pairs of halves that the kernel distance's spread is taken from
QUANTILE = (
    0.01  # the share of real pictures that lie nearer to another one than this counts as near
)


class Reference(NamedTuple):
    """Held-out pictures that every row of a table is held against, and what is known of them."""

    extractor: Any  # what features are taken with
    classifier: Extractor | None  # what says which class a picture shows
    real: Batch  # x (N, C, H, W) in [-1, 1], labels (N,) or None
    features: Tensor  # (N, F) of the real pictures
    memory: Tensor  # (T, C, H, W) pictures that may be memorised
    nearest: Tensor  # (N,) distances of the real pictures to the nearest in memory
    apart: Tensor  # (N,) and to the nearest other one among themselves


def make_reference(
    extractor: Any, real: Batch, memory: Tensor, classifier: Extractor | None = None
) -> Reference:
    """The reference made of held-out pictures `real` and of training pictures `memory`."""
    features = in_chunks(extractor.features, real.x)
    nearest = nearest_distances(real.x, memory)
    return Reference(
        extractor, classifier, real, features, memory, nearest, distances_within(real.x)
    )


def image_metrics(reference: Reference, fake: Batch, rng: torch.Generator) -> dict[str, float]:
    """Every figure of `fake` against as many real pictures.

    `x` (N, C, H, W) in [-1, 1], quantised alike; the condition is labels (N,), of a fake the class
    that was wished for, or None. `kernel_sd` is the spread of the kernel distance over SUBSETS
    pairs of halves; class figures are there with labels only.
    """
    real, known = reference.real, reference.features
    features = in_chunks(reference.extractor.features, fake.x)
    values = {
        **_class_figures(reference, fake, features),
        "frechet": fidelity.frechet_distance(known, features),
        **_kernel(known, features, rng),
        **fidelity.precision_recall(known, features, NEIGHBOURS)._asdict(),
        **fidelity.density_coverage(known, features, NEIGHBOURS)._asdict(),
        "diversity": _ratio(within_class_sd(fake), within_class_sd(real)),
        **memorization_metrics(reference, fake.x),
    }
    return values


def memorization_metrics(reference: Reference, fake: Tensor) -> dict[str, float]:
    """How fakes (N, C, H, W) lie to the training pictures, and to each other, in pixels.

    novelty: median distance to the nearest training picture, over that of held-out ones; copying 0.
    novelty_auc: chance that a fake's is larger than a held-out picture's; right .5, copying 0.
    copied: share whose distance is smaller than that of all but a RARE share of held-out ones.
    twins: share with another fake that near, by the distances among the real ones.
    """
    nearest, real = nearest_distances(fake, reference.memory), reference.nearest
    return {
        "novelty": _ratio(float(nearest.median()), float(real.median())),
        "novelty_auc": auc(nearest, real),
        "copied": _share_below(nearest, real),
        "twins": _share_below(distances_within(fake), reference.apart),
    }


def classifier_accuracy(classifier: Extractor, pictures: Batch) -> float:
    """The share of pictures that the classifier puts into the class of their label."""
    found = in_chunks(classifier, pictures.x).argmax(1)
    return float((found == pictures.condition).double().mean())


def intra_class_frechet(
    real: Tensor, fake: Tensor, real_labels: Tensor, fake_labels: Tensor
) -> dict[int, float]:
    """The Frechet distance of the features within each class that both sets hold twice or more."""
    sets = ((real, real_labels), (fake, fake_labels))
    found = {}
    for label in real_labels.unique().tolist():
        own = [features[labels == label] for features, labels in sets]
        if min(map(len, own)) > 1:
            found[label] = fidelity.frechet_distance(*own)
    return found


def within_class_sd(pictures: Batch) -> float:
    """The sd of a pixel within a class, averaged over pixels, then over classes seen twice or more.

    A generator that draws one picture per class has 0, whatever its other figures say. Without
    labels all pictures are one class; NaN if no class was seen twice.
    """
    labels = pictures.condition
    if labels is None:
        labels = torch.zeros(len(pictures.x), dtype=torch.long)
    groups = [pictures.x[labels == label] for label in labels.unique()]
    spreads = [group.double().std(0).mean() for group in groups if len(group) > 1]
    return float(torch.stack(spreads).mean()) if spreads else math.nan


def nearest_distances(pictures: Tensor, memory: Tensor) -> Tensor:
    """The Euclidean pixel distance (N,) of each picture to its nearest one in `memory`.

    Where those are grey and the pictures are stacks, each channel is a picture: (N C,).
    """
    if pictures.shape[1] != memory.shape[1]:
        pictures = pictures.flatten(0, 1)[:, None]
    known = memory.flatten(1)
    return torch.cat([torch.cdist(c, known).amin(1) for c in pictures.flatten(1).split(CHUNK)])


def distances_within(pictures: Tensor) -> Tensor:
    """The pixel distance (N,) of each picture to its nearest other one; infinite for a lone one."""
    flat, found = pictures.flatten(1), []
    for start in range(0, len(flat), CHUNK):
        distances = torch.cdist(flat[start : start + CHUNK], flat)
        rows = torch.arange(len(distances))
        distances[rows, start + rows] = math.inf  # itself
        found.append(distances.amin(1))
    return torch.cat(found)


def auc(values: Tensor, others: Tensor) -> float:
    """The chance that one of `values` exceeds one of `others`, ties counted half: the AUC."""
    ordered = others.sort().values
    below = torch.searchsorted(ordered, values)
    upto = torch.searchsorted(ordered, values, right=True)
    return float((below + upto).double().mean()) / (2 * len(others))


def gaussian_baseline(train: Batch, labels: Tensor | None, n: int, rng: torch.Generator) -> Batch:
    """`n` pictures from the Gaussian over pixels fitted to each class of `train`: a baseline.

    They follow `labels` (n,), which `train` knows all; without labels one Gaussian is fitted. A
    draw is the mean plus a random combination of the centred pictures, e A / sqrt(T - 1), whose
    covariance is the sample covariance: no F x F matrix is formed.
    """
    if labels is None:
        return Batch(_gaussian(train.x, n, rng))
    x = torch.empty(n, *train.x.shape[1:])
    for label in labels.unique():
        wished = labels == label
        x[wished] = _gaussian(train.x[train.condition == label], int(wished.sum()), rng)
    return Batch(x, labels)


@torch.no_grad()
def in_chunks(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function` applied to runs of CHUNK pictures, concatenated."""
    return torch.cat([function(chunk) for chunk in x.split(CHUNK)])


def _class_figures(reference: Reference, fake: Batch, features: Tensor) -> dict[str, float]:
    """What only labelled pictures have."""
    if fake.condition is None:
        return {}
    sets = (reference.features, features, reference.real.condition, fake.condition)
    of_class = intra_class_frechet(*sets).values()
    found = {"class_frechet": sum(of_class) / len(of_class)} if of_class else {}
    if reference.classifier is not None:
        found = {"class_agreement": classifier_accuracy(reference.classifier, fake), **found}
    return found


def _kernel(real: Tensor, fake: Tensor, rng: torch.Generator) -> dict[str, float]:
    """The kernel distance of all pairs, and its spread over pairs of halves."""
    n = len(real)
    whole = fidelity.kernel_distance(real, fake, rng, subsets=1, subset_size=n)
    halves = fidelity.kernel_distance(real, fake, rng, SUBSETS, max(2, n // 2))
    return {"kernel": whole.mean, "kernel_sd": halves.sd}


def _share_below(values: Tensor, real: Tensor) -> float:
    """The share of `values` below the quantile of `real` that a share RARE of it lies below."""
    least = real.double().quantile(QUANTILE)
    return float((values.double() < least).double().mean())


def _ratio(fake: float, real: float) -> float:
    """`fake` relative to `real`; NaN where the real pictures show nothing to compare with."""
    return fake / real if real else math.nan


def _gaussian(x: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """`n` draws (n, C, H, W) from the Gaussian with mean and covariance of `x` (T, C, H, W)."""
    centred = x.flatten(1) - x.flatten(1).mean(0)
    mixture = torch.randn(n, len(x), generator=rng) / max(1, len(x) - 1) ** 0.5
    return x.mean(0) + (mixture @ centred).unflatten(1, x.shape[1:])
