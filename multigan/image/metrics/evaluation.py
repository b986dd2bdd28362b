"""The table of a picture generator: real pictures, a Gaussian that needs no network, the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

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
from multigan.image.spec import quantize

if TYPE_CHECKING:
    from multigan.image.domain import ImageDomain

COMPARED = 1000  # pictures measured in each row of the table, about, at most
DRAWN_TOGETHER = 64  # pictures per forward pass while measuring
COUNTED_TOGETHER = 512  # stacks whose classes are read together
MODEL = "this model"


class FeatureExtractors(NamedTuple):
    """What the pictures of a set are seen with."""

    extractor: Any
    classifier: Extractor | None  # of whole pictures
    channels: PerChannelExtractor | None  # of every channel, where the data are stacks


def evaluate(
    domain: ImageDomain,
    generator: Generator,
    data: Dataset,
    rng: torch.Generator,
    cache: Path,
    extractor: str = AUTO,
    most: int = COMPARED,
) -> ResultsTable:
    """Measure training pictures, other held-out ones, a Gaussian per class and this model.

    All rows are held against `data`, a held-out split, at one count, `most` at most. Helper
    networks are kept in `cache`. Where the data are stacks (they have `layers`) their modes are
    counted too, in as many stacks as `data` holds. Raises Unmeasurable if a split holds too few
    pictures for the extractor's width. Data that `judge` generators themselves do so.
    """
    judge = getattr(data, "judge", None)
    if judge is not None:
        return judge(generator, rng)
    train = data.split("train")
    real, other, known = class_balanced_subsets([data, _another_split(data), train], most)
    n = len(real.x)
    if n <= FEATURES:
        raise EvaluationSkipped(
            f"{n} pictures to measure with; wanted more than {FEATURES} in each split"
        )
    (memory,) = class_balanced_subsets([train], image_metrics.REMEMBERED)
    (remembered,) = class_balanced_subsets(
        [getattr(train, "layers", train)], image_metrics.REMEMBERED
    )
    eyes = _open_eyes(domain, train, extractor, cache)
    drawn = {
        "real (train)": known,
        "real (held out)": other,
        _baseline_name(domain): image_metrics.gaussian_baseline(memory, real.condition, n, rng),
        MODEL: sample_images(generator, n, rng, real.condition),
    }
    reference = image_metrics.make_reference(eyes.extractor, real, remembered.x, eyes.classifier)
    rows = {
        name: image_metrics.image_metrics(reference, quantize(row), rng)
        for name, row in drawn.items()
    }
    rows[MODEL] |= path_length(generator, eyes.extractor.features, real.condition, rng)
    notes = _notes(domain, eyes, real, len(remembered.x))
    if eyes.channels is not None:
        _count_modes(rows, eyes.channels, generator, data, rng)
        notes += _mode_notes(eyes.channels, data)
    spreads = {name: row.pop("kernel_sd") for name, row in rows.items()}
    intervals = {
        name: {"kernel": (row["kernel"] - spreads[name], row["kernel"] + spreads[name])}
        for name, row in rows.items()
    }
    return ResultsTable(rows, notes, intervals)


def sample_images(
    generator: Generator, n: int, rng: torch.Generator, labels: Tensor | None
) -> Batch:
    """`n` pictures (n, C, H, W) of a generator, of the classes `labels` (n,) if there are any.

    Raises ValueError for values that are not finite: as bytes they would pass for pictures.
    """
    counts = torch.arange(n).split(DRAWN_TOGETHER)
    wishes = [None] * len(counts) if labels is None else labels.split(DRAWN_TOGETHER)
    runs = zip(counts, wishes, strict=True)
    x = torch.cat([sample_batch(generator, len(count), rng, wish) for count, wish in runs])
    if not x.isfinite().all():
        raise ValueError("the generator draws values that are not finite; its training diverged")
    return Batch(x, labels)


def _open_eyes(domain: ImageDomain, train: Any, wish: str, cache: Path) -> FeatureExtractors:
    """The extractor that is wished for, and the classifiers that the data make possible."""
    layers, shape, classes = getattr(train, "layers", None), domain.shape, len(domain.labels)
    classifier = extractor_for(train, shape, classes, cache) if classes else None
    if layers is None:
        return FeatureExtractors(
            get_extractor(wish, train, shape, classes, cache), classifier, None
        )
    grey = layers.domain
    channels = PerChannelExtractor(
        extractor_for(layers, grey.shape, len(grey.labels), cache), domain.channels
    )
    if wish in (AUTO, CLASSIFIER):
        return FeatureExtractors(channels, None, channels)
    return FeatureExtractors(get_extractor(wish, train, shape, 0, cache), None, channels)


def _count_modes(
    rows: dict[str, dict[str, float]],
    eyes: PerChannelExtractor,
    generator: Generator,
    data: Any,
    rng: torch.Generator,
) -> None:
    """Add the modes of as many stacks as `data` holds: held-out, training and drawn ones."""
    n, train = len(data), data.split("train")
    labels = train.layers.batch(torch.arange(len(train.layers))).condition
    shares = labels.bincount() / len(labels)
    stacks = {
        "real (train)": lambda run: train.batch(run % len(train)).x,
        "real (held out)": lambda run: data.batch(run).x,
        MODEL: lambda run: sample_images(generator, len(run), rng, None).x,
    }
    for name, stack in stacks.items():
        runs = torch.arange(n).split(COUNTED_TOGETHER)
        seen = [
            image_metrics.in_chunks(eyes.classes, quantize(Batch(stack(run))).x) for run in runs
        ]
        rows[name] |= mode_coverage(torch.cat(seen), shares)


def _another_split(data: Dataset) -> Dataset:
    """The held-out split that `data` is not: "test", unless it is that one."""
    test = data.split("test")
    return data.split("valid") if test.fingerprint == data.fingerprint else test


def _baseline_name(domain: ImageDomain) -> str:
    return "Gaussian per class" if domain.labels else "one Gaussian"


def _notes(
    domain: ImageDomain, eyes: FeatureExtractors, real: Batch, known: int
) -> tuple[str, ...]:
    """What the rows and columns of the table are."""
    n, k, wide = len(real.x), image_metrics.NEIGHBOURS, eyes.extractor.width
    right = "" if eyes.classifier is None else _accuracy(eyes.classifier, real)
    equal = "; of kernel below 0: the class shares are equal)" if domain.labels else ")"
    notes = [
        f"{n} pictures in every row, against {n} held-out ones; k = {k}, where equal "
        f"distributions have an expected coverage of {expected_coverage(n, n, k):.3f}",
        f"extractor: {wide} features of {eyes.extractor.told}{right}; this is no FID",
        "real (train): what memorising would score; real (held out): the floor of every column "
        "(of frechet above 0: N is finite" + equal,
        f"{_baseline_name(domain)}: drawn over pixels, with the training pictures' mean and "
        "covariance: what needs no network",
        f"kernel: of all pairs (KID's kernel); the interval is one sd over "
        f"{image_metrics.SUBSETS} pairs of halves on either side",
        "diversity: pixel sd within a class over that of real pictures; 1 is right, 0 collapse",
        f"novelty: distance to the nearest of {known} training pictures over that of held-out "
        "ones; about 1 is right, 0 is copying; novelty_auc: the chance that it is the larger one "
        "of the two, .5 is right",
        f"copied: nearer to a training picture, twins: nearer to each other, than all but "
        f"{image_metrics.QUANTILE:.0%} of the held-out ones",
        "path_length: squared change of the features along a path between latents, in place of "
        "LPIPS; path_ratio: over that of a straight line, whose 1 is the least",
    ]
    if n <= wide:
        notes.append(f"{n} pictures for {wide} features: the Frechet distance says little")
    if domain.labels:
        least = int(real.condition.bincount().min())
        notes.append(f"class_frechet: the mean over classes, of {least} pictures or more each")
    return tuple(notes)


def _accuracy(classifier: Extractor, real: Batch) -> str:
    accuracy = image_metrics.classifier_accuracy(classifier, real)
    return f" (the classes' classifier is {accuracy:.2%} right)"


def _mode_notes(eyes: PerChannelExtractor, data: Any) -> tuple[str, ...]:
    """What the counted modes are of."""
    n, modes = len(data), len(data.layers.domain.labels) ** eyes.channels
    grey = data.layers.batch(torch.arange(len(data.layers)))
    right = image_metrics.classifier_accuracy(eyes.layer, grey)
    return (
        f"modes: of {modes:,} triples, seen in {n:,} stacks of every row (real (held out): this "
        f"split's); every channel is read by a classifier of the training pictures, {right:.2%} "
        f"right on {len(grey.x)} held-out ones",
        f"mode_kl: to equal shares, mode_kl_prior: to the shares of the training pictures' "
        f"classes; a perfect sampler scores about {(modes - 1) / (2 * n):.4f} at this count",
    )
