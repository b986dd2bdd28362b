"""Image metrics: fidelity, diversity, memorization and class accuracy.

No extractor is Inception unless the user supplies it: no value is an FID by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.core import fidelity
from multigan.core.evaluation_size import evaluation_iterations
from multigan.core.protocols import Batch
from multigan.image.metrics.balanced_subsets import CHUNK
from multigan.image.metrics.feature_extractors import Extractor

NEIGHBORS = 5  # k of precision, recall, density and coverage
MAX_TRAIN_IMAGES = 10_000  # training images that a sample is compared with
SUBSETS = 100  # pairs of halves for the standard deviation of the kernel distance
QUANTILE = 0.01  # of the distances of real images: smaller distances count as near


class Reference(NamedTuple):
    """Held-out images that every row of a table is compared with, and their statistics."""

    extractor: Any  # with `features`
    classifier: Extractor | None  # of the classes
    real: Batch  # x (N, C, H, W) in [-1, 1], labels (N,) or None
    features: Tensor  # (N, F) of the real images
    train_images: Tensor  # (T, C, H, W) images that may have been memorized
    train_distances: Tensor  # (N,) pixel distances of the real images to the nearest training image
    nn_distances: Tensor  # (N,) and to the nearest other real image


def make_reference(
    extractor: Any, real: Batch, train_images: Tensor, classifier: Extractor | None = None
) -> Reference:
    """Build the reference from held-out images `real` and `train_images` (T, C, H, W)."""
    features = in_chunks(extractor.features, real.x)
    nearest = nearest_distances(real.x, train_images)
    return Reference(
        extractor, classifier, real, features, train_images, nearest, distances_within(real.x)
    )


def image_metrics(reference: Reference, fake: Batch, rng: torch.Generator) -> dict[str, float]:
    """Compute every metric of `fake` against as many real images.

    `x` (N, C, H, W) in [-1, 1], quantized alike; the condition is the labels (N,), of a fake the
    requested class, or None. `kernel_distance_std` is the standard deviation of the kernel distance
    over SUBSETS pairs of halves. Class metrics need labels.
    """
    real, expected = reference.real, reference.features
    features = in_chunks(reference.extractor.features, fake.x)
    values = {
        **_class_metrics(reference, fake, features),
        "frechet_distance": fidelity.frechet_distance(expected, features),
        **_kernel_distance(expected, features, rng),
        **fidelity.precision_recall(expected, features, NEIGHBORS)._asdict(),
        **fidelity.density_coverage(expected, features, NEIGHBORS)._asdict(),
        "intra_class_std_ratio": _ratio(within_class_sd(fake), within_class_sd(real)),
        **memorization_metrics(reference, fake.x),
    }
    return values


def memorization_metrics(reference: Reference, fake: Tensor) -> dict[str, float]:
    """Compare pixel distances of fakes (N, C, H, W) with those of held-out images.

    nn_distance_ratio: median distance to the nearest training image, over that of held-out images;
        0 for copies.
    nn_distance_auc: probability that the distance of a fake is larger than that of a held-out
        image; ideally .5, 0 for copies.
    memorized_fraction: fraction whose distance is below the QUANTILE of held-out images.
    near_duplicate_fraction: fraction with another fake nearer than the QUANTILE of the distances
        among real images.
    """
    nearest, real = nearest_distances(fake, reference.train_images), reference.train_distances
    return {
        "nn_distance_ratio": _ratio(float(nearest.median()), float(real.median())),
        "nn_distance_auc": auc(nearest, real),
        "memorized_fraction": _fraction_below(nearest, real),
        "near_duplicate_fraction": _fraction_below(distances_within(fake), reference.nn_distances),
    }


def classifier_accuracy(classifier: Extractor, images: Batch) -> float:
    """Return the fraction of images that the classifier assigns to their label."""
    found = in_chunks(classifier, images.x).argmax(1)
    return float((found == images.condition).double().mean())


def intra_class_frechet(
    real: Tensor, fake: Tensor, real_labels: Tensor, fake_labels: Tensor
) -> dict[int, float]:
    """Return the Frechet distance of the features within each class with two images or more."""
    sets = ((real, real_labels), (fake, fake_labels))
    found = {}
    for label in real_labels.unique().tolist():
        own = [features[labels == label] for features, labels in sets]
        if min(map(len, own)) > 1:
            found[label] = fidelity.frechet_distance(*own)
    return found


def within_class_sd(images: Batch) -> float:
    """Return the pixel standard deviation within a class, averaged over pixels, then over classes.

    A generator of one image per class has 0, whatever its other metrics. Classes of one image do
    not count; NaN if there is no other. Without labels all images are one class.
    """
    labels = images.condition
    if labels is None:
        labels = torch.zeros(len(images.x), dtype=torch.long)
    groups = [images.x[labels == label] for label in labels.unique()]
    spreads = [group.double().std(0).mean() for group in groups if len(group) > 1]
    return float(torch.stack(spreads).mean()) if spreads else math.nan


def nearest_distances(images: Tensor, train_images: Tensor) -> Tensor:
    """Return the Euclidean pixel distance (N,) of each image to its nearest training image.

    If only the training images are grayscale, each channel of a stack is an image: (N C,).
    """
    if images.shape[1] != train_images.shape[1]:
        images = images.flatten(0, 1)[:, None]
    train = train_images.flatten(1)
    return torch.cat([torch.cdist(c, train).amin(1) for c in images.flatten(1).split(CHUNK)])


def distances_within(images: Tensor) -> Tensor:
    """Return the pixel distance (N,) of each image to its nearest other one; infinite if none."""
    flat, found = images.flatten(1), []
    for start in range(0, len(flat), CHUNK):
        distances = torch.cdist(flat[start : start + CHUNK], flat)
        rows = torch.arange(len(distances))
        distances[rows, start + rows] = math.inf  # itself
        found.append(distances.amin(1))
    return torch.cat(found)


def auc(values: Tensor, others: Tensor) -> float:
    """Return the probability that one of `values` exceeds one of `others`; ties count half."""
    ordered = others.sort().values
    below = torch.searchsorted(ordered, values)
    upto = torch.searchsorted(ordered, values, right=True)
    return float((below + upto).double().mean()) / (2 * len(others))


def gaussian_baseline(train: Batch, labels: Tensor | None, n: int, rng: torch.Generator) -> Batch:
    """Sample `n` images from a Gaussian over pixels fitted to each class of `train`.

    The samples follow `labels` (n,), all of them in `train`; without labels one Gaussian is fitted.
    A sample is the mean plus a random combination of the centered images, e A / sqrt(T - 1), whose
    covariance is the sample covariance: no F x F matrix is formed.
    """
    if labels is None:
        return Batch(_gaussian(train.x, n, rng))
    x = torch.empty(n, *train.x.shape[1:])
    for label in labels.unique():
        rows = labels == label
        x[rows] = _gaussian(train.x[train.condition == label], int(rows.sum()), rng)
    return Batch(x, labels)


@torch.no_grad()
def in_chunks(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply `function` to chunks of CHUNK images and concatenate the results."""
    return torch.cat([function(chunk) for chunk in x.split(CHUNK)])


def _class_metrics(reference: Reference, fake: Batch, features: Tensor) -> dict[str, float]:
    """Compute the metrics of labeled images."""
    if fake.condition is None:
        return {}
    sets = (reference.features, features, reference.real.condition, fake.condition)
    of_class = intra_class_frechet(*sets).values()
    found = {"intra_class_frechet_distance": sum(of_class) / len(of_class)} if of_class else {}
    if reference.classifier is not None:
        found = {"class_accuracy": classifier_accuracy(reference.classifier, fake), **found}
    return found


def _kernel_distance(real: Tensor, fake: Tensor, rng: torch.Generator) -> dict[str, float]:
    """Compute the kernel distance of all pairs, and its standard deviation over pairs of halves."""
    n = len(real)
    whole = fidelity.kernel_distance(real, fake, rng, subsets=1, subset_size=n)
    subsets = evaluation_iterations(SUBSETS)
    halves = fidelity.kernel_distance(real, fake, rng, subsets, max(2, n // 2))
    return {"kernel_distance": whole.mean, "kernel_distance_std": halves.sd}


def _fraction_below(values: Tensor, real: Tensor) -> float:
    """Return the fraction of `values` below the QUANTILE of `real`."""
    threshold = real.double().quantile(QUANTILE)
    return float((values.double() < threshold).double().mean())


def _ratio(fake: float, real: float) -> float:
    """Return `fake` over `real`; NaN if `real` is 0."""
    return fake / real if real else math.nan


def _gaussian(x: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Sample (n, C, H, W) from the Gaussian with the mean and covariance of `x` (T, C, H, W)."""
    centered = x.flatten(1) - x.flatten(1).mean(0)
    mixture = torch.randn(n, len(x), generator=rng) / max(1, len(x) - 1) ** 0.5
    return x.mean(0) + (mixture @ centered).unflatten(1, x.shape[1:])
