"""A few pictures of each class, and what a generator that saw no others is worth."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multigan.core.protocols import Batch, EvaluationSkipped, Generator
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component
from multigan.image.datasets.images import ImageDataset
from multigan.image.metrics import classification_accuracy
from multigan.image.metrics.evaluation import sample_images
from multigan.image.metrics.image_metrics import gaussian_baseline
from multigan.image.sampling import TruncatedLatents
from multigan.image.spec import quantize

HELD_OUT = 10_000  # pictures to judge by, at most


@component
class FewShotImages:
    """`per_class` pictures of every class to train on; all others are held out, 10,000 at most.

    Which ones follows from `chosen` (a seed). The split "valid" is those to train on once more: no
    other may choose between checkpoints. To judge a generator, `generated` pictures of every class
    are made, with `truncation` if given; they have `share` of every batch of a classifier.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str,
        resolution: int,
        per_class: int,
        chosen: int = 0,
        generated: int = 200,
        share: float = 0.5,
        truncation: float | None = None,
        subset: str = "train",
    ) -> None:
        """Raises ValueError for a source without labels, too few pictures or another subset.

        Also for numbers that make no sense.
        """
        if generated < 1 or not 0 < share < 1:
            said = f"{generated} generated pictures of a class, {share} of a batch"
            raise ValueError(f"{said}; wanted 1 or more, and a share between 0 and 1")
        if subset not in ("train", "valid", "test"):
            raise ValueError(f"no split called {subset!r}; known: train, valid, test")
        self._whole = ImageDataset(source, resolution)
        if not self._whole.domain.labels:
            raise ValueError(f"{source}: pictures without classes; wanted sub-folders or labels")
        self.source, self.resolution, self.per_class = source, resolution, per_class
        self.chosen, self.subset = chosen, subset
        self.generated, self.share, self.truncation = generated, share, truncation
        self.domain = self._whole.domain
        known, others = _known_and_others(self._whole, per_class, chosen)
        self._members = others if subset == "test" else known
        self.fingerprint = f"{self._whole.fingerprint} {per_class} {chosen} {subset}"

    def __len__(self) -> int:
        return len(self._members)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The pictures at `indices` (B,), on their device; nothing is drawn from `rng`."""
        self._members = self._members.to(indices.device)
        return self._whole.batch(self._members[indices])

    def everything(self) -> Batch:
        """Every picture of this split."""
        return self.batch(torch.arange(len(self)))

    def split(self, name: str) -> FewShotImages:
        """The part called "train", "valid" or "test"."""
        few = (self.source, self.resolution, self.per_class, self.chosen)
        return FewShotImages(*few, self.generated, self.share, self.truncation, subset=name)

    def judge(self, generator: Generator, rng: torch.Generator) -> ResultsTable:
        """Accuracies of classifiers on these pictures, with and without generated ones.

        Raises Unmeasurable for any split but "test": there are no others to judge by.
        """
        if self.subset != "test":
            raise EvaluationSkipped("all pictures but the few to train on are kept to judge by")
        known, held_out = self.split("train").everything(), self.everything()
        classes = len(self.domain.labels)
        labels = torch.arange(classes).repeat_interleave(self.generated)
        cut: Any = self.truncation
        source = generator if cut is None else TruncatedLatents(generator, cut)
        made = {
            "Gaussian per class": quantize(gaussian_baseline(known, labels, len(labels), rng)),
            "this model": quantize(sample_images(source, len(labels), rng, labels)),
        }
        rows = classification_accuracy.synthetic_data_gain(
            known, made, held_out, classes, self.share, self.chosen
        )
        return ResultsTable(rows, self._notes(len(held_out.x)))

    def _notes(self, held_out: int) -> tuple[str, ...]:
        """What the rows and columns of the table are."""
        cut = "" if self.truncation is None else f", latents within {self.truncation:g}"
        return (
            f"shares of {held_out:,} held-out real pictures that a classifier puts into their "
            f"class, which saw {self.per_class} real ones of each; mean of "
            f"{classification_accuracy.REPEATS} initial weights, the same in every row; each "
            f"{classification_accuracy.STEPS} steps of {classification_accuracy.BATCH} pictures",
            f"real: these alone; the other rows: with {self.generated} made pictures of each class "
            f"in {self.share:.0%} of every batch{cut}",
            "plain: as they are; moved: shifts of up to an eighth of a side and turns of up to 15 "
            "degrees; alone: made pictures only; gain: over the row real",
        )


def _known_and_others(whole: ImageDataset, per_class: int, chosen: int) -> tuple[Tensor, Tensor]:
    """Indices of `per_class` pictures of every class, and of HELD_OUT others at most."""
    labels = whole.batch(torch.arange(len(whole))).condition
    order = torch.randperm(len(whole), generator=keyed_rng(chosen, "scarce"))
    shuffled = labels[order]
    known = torch.zeros(len(whole), dtype=torch.bool)  # places in `order`
    for number, name in enumerate(whole.domain.labels):
        places = (shuffled == number).nonzero().flatten()
        if not 1 <= per_class < len(places):
            said = f"{per_class} pictures of the class {name}, which has {len(places)}"
            raise ValueError(f"{said}; wanted 1 or more, and some to be held out")
        known[places[:per_class]] = True
    return order[known], order[~known][:HELD_OUT]
