"""Evaluation of an image generator against real images and a baseline without a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from multigan.core.evaluation_size import evaluation_size
from multigan.core.fidelity import expected_coverage
from multigan.core.modules import sample_batch
from multigan.core.protocols import Batch, Dataset, EvaluationSkipped, Generator
from multigan.core.results_table import ResultsTable
from multigan.image.metrics import image_metrics
from multigan.image.metrics.balanced_subsets import class_balanced_subsets
from multigan.image.metrics.feature_extractors import (
    AUTO,
    CLASSIFIER,
    FEATURES,
    Extractor,
    PerChannelExtractor,
    extractor_for,
    get_extractor,
)
from multigan.image.metrics.mode_coverage import mode_coverage
from multigan.image.metrics.path_length import path_length
from multigan.image.spec import ImageSpec, quantize

NUM_EVAL_IMAGES = 1000  # images in each row of the table, about, at most
MAX_TRAIN_VALUES = 1 << 26  # of the training images that are read: 256 MiB
SAMPLING_BATCH = 64  # images per forward pass of the generator
COUNTING_BATCH = 512  # stacks per forward pass of the classifier
MAX_REPETITIONS = 8  # sample sets of a row, where a split holds fewer than NUM_EVAL_IMAGES images,
SAMPLED_RATIO = 2  # and images in all sample sets over that number, at most
HEADLINE = "frechet_distance"
ROW_TRAIN = "real (train)"
ROW_HELD_OUT = "real (held out)"
ROW_GENERATOR = "generator"


@runtime_checkable
class EvaluatesGenerators(Protocol):
    """A dataset with an evaluation of its own, in place of the one of this module."""

    def evaluate_generator(self, generator: Generator, rng: torch.Generator) -> ResultsTable:
        """Evaluate a generator on this split."""
        ...


@runtime_checkable
class HasGrayscaleSource(Protocol):
    """A dataset of stacks of labeled grayscale images: the modes of a generator can be counted."""

    grayscale_source: Any


class FeatureExtractors(NamedTuple):
    """The networks that an evaluation uses."""

    extractor: Any
    classifier: Extractor | None  # of whole images
    channels: PerChannelExtractor | None  # of every channel, if the data are stacks


def evaluate(
    spec: ImageSpec,
    generator: Generator,
    data: Dataset,
    rng: torch.Generator,
    cache: Path,
    extractor: str = AUTO,
    max_images: int = NUM_EVAL_IMAGES,
) -> ResultsTable:
    """Compare training images, held-out images, a Gaussian baseline and the generator.

    Every row is compared with `data`, a held-out split, at one count, `max_images` at most; where
    the split holds fewer, sampled rows are means of several sample sets. Helper networks are stored
    in `cache`. If the data are stacks their modes are counted too, in as many stacks as `data`
    holds. A dataset with an evaluation of its own is evaluated by that.
    Raises EvaluationSkipped if a split holds too few images for the width of the extractor.
    """
    if isinstance(data, EvaluatesGenerators):
        return data.evaluate_generator(generator, rng)
    train = data.split("train")
    real, held_out, of_train = class_balanced_subsets(
        [data, _other_held_out_split(data), train], evaluation_size(max_images)
    )
    n = len(real.x)
    if n <= FEATURES:
        raise EvaluationSkipped(f"each split must have more than {FEATURES} images; got {n}")
    most = evaluation_size(image_metrics.MAX_TRAIN_IMAGES)
    most = min(most, MAX_TRAIN_VALUES // math.prod(spec.shape))
    (fitted,) = class_balanced_subsets([train], most)
    train_images = fitted
    if isinstance(train, HasGrayscaleSource):
        (train_images,) = class_balanced_subsets([train.grayscale_source], most)
    networks = _open_extractors(spec, train, extractor, cache)
    sampled = {
        _baseline_name(spec): partial(
            image_metrics.gaussian_baseline, fitted, real.condition, n, rng
        ),
        ROW_GENERATOR: partial(sample_images, generator, n, rng, real.condition),
    }
    sets = {ROW_TRAIN: of_train, ROW_HELD_OUT: held_out}
    reference = image_metrics.make_reference(
        networks.extractor, real, train_images.x, networks.classifier
    )
    repetitions = _repetitions(n, evaluation_size(max_images))
    rows, intervals = _measure(reference, sets, sampled, repetitions, rng)
    rows[ROW_GENERATOR] |= path_length(generator, networks.extractor.features, real.condition, rng)
    notes = _notes(spec, networks, real, len(train_images.x), repetitions)
    if networks.channels is not None:
        _count_modes(rows, networks.channels, generator, data, rng)
        notes += _mode_notes(networks.channels, data)
    return ResultsTable(
        rows,
        notes,
        {name: found | intervals.get(name, {}) for name, found in _kernel_intervals(rows).items()},
        headline=HEADLINE,
        floor=ROW_HELD_OUT,
        baseline=_baseline_name(spec),
    )


def sample_images(
    generator: Generator, n: int, rng: torch.Generator, labels: Tensor | None
) -> Batch:
    """Sample `n` images (n, C, H, W), of the classes `labels` (n,) if there are any.

    Raises ValueError for values that are not finite, which quantization would hide.
    """
    counts = torch.arange(n).split(SAMPLING_BATCH)
    conditions = [None] * len(counts) if labels is None else labels.split(SAMPLING_BATCH)
    batches = zip(counts, conditions, strict=True)
    x = torch.cat([sample_batch(generator, len(count), rng, c) for count, c in batches])
    if not x.isfinite().all():
        raise ValueError("generated values must be finite; got NaN or infinity: training diverged")
    return Batch(x, labels)


def _measure(
    reference: image_metrics.Reference,
    sets: dict[str, Batch],
    sampled: Mapping[str, Callable[[], Batch]],
    repetitions: int,
    rng: torch.Generator,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, tuple[float, float]]]]:
    """Return the metrics of sets of images, and of those that are sampled, with intervals."""
    sets = sets | {name: sample() for name, sample in sampled.items()}

    def measure(images: Batch) -> dict[str, float]:
        return image_metrics.image_metrics(reference, quantize(images), rng)

    rows, intervals = {name: measure(images) for name, images in sets.items()}, {}
    for name, sample in sampled.items():
        repeated = [rows[name], *(measure(sample()) for _ in range(repetitions - 1))]
        rows[name], intervals[name] = _mean_of_repetitions(repeated)
    return rows, intervals


def _repetitions(n: int, most: int) -> int:
    """Return the number of sample sets of a row of `n` images, of `most` in a large split."""
    return 1 if n >= most else min(MAX_REPETITIONS, SAMPLED_RATIO * most // n)


def _mean_of_repetitions(
    repetitions: Sequence[Mapping[str, float]],
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return the means of several sample sets, and intervals of two standard errors of HEADLINE."""
    means = {name: mean(row[name] for row in repetitions) for name in repetitions[0]}
    if len(repetitions) == 1:
        return means, {}
    error = 2 * stdev(row[HEADLINE] for row in repetitions) / math.sqrt(len(repetitions))
    return means, {HEADLINE: (means[HEADLINE] - error, means[HEADLINE] + error)}


def _kernel_intervals(
    rows: dict[str, dict[str, float]],
) -> dict[str, dict[str, tuple[float, float]]]:
    """Take the standard deviation of the kernel distance out of the rows, as intervals."""
    intervals = {}
    for name, row in rows.items():
        std, distance = row.pop("kernel_distance_std"), row["kernel_distance"]
        intervals[name] = {"kernel_distance": (distance - std, distance + std)}
    return intervals


def _open_extractors(spec: ImageSpec, train: Dataset, name: str, cache: Path) -> FeatureExtractors:
    """Open the extractor called `name`, and the classifiers that the data make possible."""
    shape, num_classes = spec.shape, spec.num_classes
    if not isinstance(train, HasGrayscaleSource):
        classifier = extractor_for(train, shape, num_classes, cache) if num_classes else None
        extractor = get_extractor(name, train, shape, num_classes, cache)
        return FeatureExtractors(extractor, classifier, None)
    source: Any = train.grayscale_source
    gray: ImageSpec = source.domain
    channels = PerChannelExtractor(
        extractor_for(source, gray.shape, gray.num_classes, cache), spec.channels
    )
    if name in (AUTO, CLASSIFIER):
        return FeatureExtractors(channels, None, channels)
    return FeatureExtractors(get_extractor(name, train, shape, 0, cache), None, channels)


def _count_modes(
    rows: dict[str, dict[str, float]],
    extractor: PerChannelExtractor,
    generator: Generator,
    data: Any,
    rng: torch.Generator,
) -> None:
    """Add mode coverage to the rows, of as many stacks as `data` holds."""
    n, train = evaluation_size(len(data)), data.split("train")
    labels = train.grayscale_source.batch(torch.arange(len(train.grayscale_source))).condition
    fractions = labels.bincount() / len(labels)
    stacks = {
        ROW_TRAIN: lambda indices: train.batch(indices % len(train)).x,
        ROW_HELD_OUT: lambda indices: data.batch(indices).x,
        ROW_GENERATOR: lambda indices: sample_images(generator, len(indices), rng, None).x,
    }
    for name, stack in stacks.items():
        classes = [
            image_metrics.in_chunks(extractor.predict_classes, quantize(Batch(stack(indices))).x)
            for indices in torch.arange(n).split(COUNTING_BATCH)
        ]
        rows[name] |= mode_coverage(torch.cat(classes), fractions)


def _other_held_out_split(data: Dataset) -> Dataset:
    """Return the held-out split that `data` is not: "test", unless it is that one."""
    test = data.split("test")
    return data.split("valid") if test.fingerprint == data.fingerprint else test


def _baseline_name(spec: ImageSpec) -> str:
    return "Gaussian per class" if spec.class_names else "one Gaussian"


def _notes(
    spec: ImageSpec, networks: FeatureExtractors, real: Batch, num_train: int, repetitions: int
) -> tuple[str, ...]:
    """Describe the rows and columns of the table."""
    n, k, wide = len(real.x), image_metrics.NEIGHBORS, networks.extractor.width
    accuracy = "" if networks.classifier is None else _accuracy(networks.classifier, real)
    equal = "; kernel_distance is below 0: class shares are equal)" if spec.class_names else ")"
    notes = [
        f"{n} images in every row, compared with {n} held-out ones; k = {k}, where equal "
        f"distributions have an expected coverage of {expected_coverage(n, n, k):.3f}",
        f"extractor: {wide} features of {networks.extractor.description}{accuracy}; not an FID",
        f"{ROW_TRAIN}: the score of memorization; {ROW_HELD_OUT}: the floor of every column "
        "(frechet_distance is above 0: N is finite" + equal,
        f"{_baseline_name(spec)}: sampled over pixels, with the mean and covariance of the "
        "training images: a baseline without a network",
        f"kernel_distance: of all pairs (the kernel of KID); the interval is one standard "
        f"deviation over {image_metrics.SUBSETS} pairs of halves on either side",
        "intra_class_std_ratio: pixel standard deviation within a class over that of real images; "
        "1 is ideal, 0 is mode collapse",
        f"nn_distance_ratio: distance to the nearest of {num_train} training images over that of "
        "held-out ones; about 1 is ideal, 0 is memorization; nn_distance_auc: the probability that "
        "it is the larger one of the two, .5 is ideal",
        "memorized_fraction: nearer to a training image, near_duplicate_fraction: nearer to each "
        f"other, than all but {image_metrics.QUANTILE:.0%} of the held-out ones",
        "path_length: squared change of the features along a path between latents, in place of "
        "LPIPS; path_length_ratio: over that of a straight line, the minimum is 1",
    ]
    if repetitions > 1:
        notes.append(
            f"{_baseline_name(spec)} and {ROW_GENERATOR}: means of {repetitions} sample sets of "
            f"{n} images; the interval of frechet_distance is two standard errors of the mean on "
            "either side"
        )
    if n <= wide:
        notes.append(f"{n} images for {wide} features: the Frechet distance is unreliable")
    if spec.class_names:
        least = int(real.condition.bincount().min())
        notes.append(
            f"intra_class_frechet_distance: the mean over classes, of {least} images or more each"
        )
    return tuple(notes)


def _accuracy(classifier: Extractor, real: Batch) -> str:
    accuracy = image_metrics.classifier_accuracy(classifier, real)
    return f" (accuracy of the classifier of classes: {accuracy:.2%})"


def _mode_notes(extractor: PerChannelExtractor, data: Any) -> tuple[str, ...]:
    """Describe the columns of mode coverage."""
    n = evaluation_size(len(data))
    modes = data.grayscale_source.domain.num_classes**extractor.channels
    gray = data.grayscale_source.batch(torch.arange(len(data.grayscale_source)))
    accuracy = image_metrics.classifier_accuracy(extractor.extractor, gray)
    return (
        f"modes_covered: of {modes:,} triples of classes, in {n:,} stacks of every row "
        f"({ROW_HELD_OUT}: this split); every channel is classified by a classifier of the "
        f"training images, with an accuracy of {accuracy:.2%} on {len(gray.x)} held-out ones",
        f"kl_to_uniform: to equal fractions, kl_to_class_prior: to the class fractions of the "
        f"training images; a perfect sampler scores about {(modes - 1) / (2 * n):.4f} at this "
        "count",
    )
