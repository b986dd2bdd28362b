"""Few-shot images: a few real images per class, and the accuracy gain of synthetic ones."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.benchmarks import classification_accuracy
from multigan.core.data_counts import DataCounts
from multigan.core.protocols import Batch, EvaluationSkipped, Generator
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component, with_arguments
from multigan.image.datasets.images import ImageDataset
from multigan.image.metrics.evaluation import ROW_GENERATOR, sample_images
from multigan.image.metrics.image_metrics import gaussian_baseline
from multigan.image.sampling import TruncatedLatents
from multigan.image.spec import quantize

MAX_TEST_IMAGES = 10_000


@component
class FewShotImages:
    """A training split of `per_class` images of every class; all others are held out.

    `seed` selects the images; the test split has 10,000 at most. The split "valid" repeats the
    training images: no other image may select a checkpoint. To evaluate a generator,
    `synthetic_per_class` images of every class are sampled, with `truncation` if given; they have
    `synthetic_fraction` of every batch of a classifier.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str,
        resolution: int,
        per_class: int,
        seed: int = 0,
        synthetic_per_class: int = 200,
        synthetic_fraction: float = 0.5,
        truncation: float | None = None,
        split: str = "train",
    ) -> None:
        """Raises ValueError for a source without labels, too few images or invalid arguments."""
        if synthetic_per_class < 1 or not 0 < synthetic_fraction < 1:
            raise ValueError(
                "synthetic_per_class must be 1 or more and synthetic_fraction between 0 and 1; "
                f"got {synthetic_per_class} and {synthetic_fraction}"
            )
        if split not in ("train", "valid", "test"):
            raise ValueError(f"split must be train, valid or test; got {split!r}")
        self._whole = ImageDataset(source, resolution)
        if not self._whole.domain.class_names:
            raise ValueError(
                f"{source}: images must have classes (sub-folders or labels); got none"
            )
        self.per_class = per_class
        self.seed, self.split_name = seed, split
        self.synthetic_per_class, self.synthetic_fraction, self.truncation = (
            synthetic_per_class,
            synthetic_fraction,
            truncation,
        )
        self.domain = self._whole.domain
        train, test = _train_and_test_indices(self._whole, per_class, seed)
        self._members = test if split == "test" else train
        self.fingerprint = f"{self._whole.fingerprint} {per_class} {seed} {split}"

    def __len__(self) -> int:
        return len(self._members)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """Return the images at `indices` (B,), on their device; `rng` is not used."""
        self._members = self._members.to(indices.device)
        return self._whole.batch(self._members[indices])

    def everything(self) -> Batch:
        """Return every image of this split."""
        return self.batch(torch.arange(len(self)))

    def data_counts(self) -> DataCounts | None:
        """Return what the reader of the source used, changed and left out."""
        return self._whole.data_counts()

    def split(self, name: str) -> FewShotImages:
        """Return the split "train", "valid" or "test"."""
        return with_arguments(self, split=name)

    def evaluate_generator(self, generator: Generator, rng: torch.Generator) -> ResultsTable:
        """Compute accuracies of classifiers on these images, with and without synthetic ones.

        Raises EvaluationSkipped for any split but "test": no other has unseen images.
        """
        if self.split_name != "test":
            raise EvaluationSkipped(
                "only the split test can evaluate a generator of few-shot images"
            )
        train, held_out = self.split("train").everything(), self.everything()
        num_classes = self.domain.num_classes
        labels = torch.arange(num_classes).repeat_interleave(self.synthetic_per_class)
        limit = self.truncation
        source: Generator = generator if limit is None else TruncatedLatents(generator, limit)
        synthetic = {
            "Gaussian per class": quantize(gaussian_baseline(train, labels, len(labels), rng)),
            ROW_GENERATOR: quantize(sample_images(source, len(labels), rng, labels)),
        }
        rows = classification_accuracy.synthetic_data_gain(
            train, synthetic, held_out, num_classes, self.synthetic_fraction, self.seed
        )
        return ResultsTable(rows, self._notes(len(held_out.x)))

    def _notes(self, held_out: int) -> tuple[str, ...]:
        """Describe the rows and columns of the table."""
        cut = "" if self.truncation is None else f", latents within {self.truncation:g}"
        return (
            f"accuracy on {held_out:,} held-out real images of a classifier trained on "
            f"{self.per_class} real ones per class; mean of {classification_accuracy.REPEATS} "
            "initial weights, the same in every row; each "
            f"{classification_accuracy.STEPS} steps of {classification_accuracy.BATCH} images",
            f"real: these alone; the other rows: with {self.synthetic_per_class} synthetic images "
            f"per class in {self.synthetic_fraction:.0%} of every batch{cut}",
            "augmentation: shifts of up to an eighth of a side and rotations of up to 15 degrees; "
            "synthetic_only: without real images; gain: over the row real",
        )


def _train_and_test_indices(
    whole: ImageDataset, per_class: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Return indices of `per_class` images of every class, and of the others for testing."""
    labels = whole.batch(torch.arange(len(whole))).condition
    order = torch.randperm(len(whole), generator=keyed_rng(seed, "scarce"))
    shuffled = labels[order]
    in_train = torch.zeros(len(whole), dtype=torch.bool)  # positions in `order`
    for number, name in enumerate(whole.domain.class_names):
        places = (shuffled == number).nonzero().flatten()
        if not 1 <= per_class < len(places):
            raise ValueError(
                f"per_class must be 1 to {len(places) - 1}, for class {name} has {len(places)} "
                f"images and some are held out; got {per_class}"
            )
        in_train[places[:per_class]] = True
    return order[in_train], order[~in_train][:MAX_TEST_IMAGES]
