"""A few pictures of each class, and what a generator that saw no others is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from multigan.contract import Batch, Generator, Sampler, Table, Unmeasurable, sample_once
from multigan.image import worth
from multigan.image.data import Images
from multigan.image.domain import ImageDomain
from multigan.image.metrics import gaussian_baseline
from multigan.image.truncation import Truncated
from multigan.part import part
from multigan.rng import keyed_rng

HELD_OUT = 10_000  # pictures to judge by, at most
DRAWN_TOGETHER = 64  # pictures per forward pass


@part
class ScarceImages:
    """`per_class` pictures of every class to train on; all others are held out, 10,000 at most.

    Which ones follows from `chosen` (a seed). The split "valid" is those to train on once more: no
    other may choose between checkpoints. The other arguments are those of `ScarceDomain`.
    """

    in_memory = True
    draws = False

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
        """Raises ValueError for a source without labels, too few pictures or another subset."""
        if subset not in ("train", "valid", "test"):
            raise ValueError(f"no split called {subset!r}; known: train, valid, test")
        self._whole = Images(source, resolution)
        if not self._whole.domain.labels:
            raise ValueError(f"{source}: pictures without classes; wanted sub-folders or labels")
        self.source, self.resolution, self.per_class = source, resolution, per_class
        self.chosen, self.subset = chosen, subset
        self.domain = ScarceDomain(self._whole.domain, generated, share, truncation)
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

    def split(self, name: str) -> ScarceImages:
        """The part called "train", "valid" or "test"."""
        few = (self.source, self.resolution, self.per_class, self.chosen)
        own = self.domain
        return ScarceImages(*few, own.generated, own.share, own.truncation, subset=name)


@part
@dataclass(frozen=True)
class ScarceDomain:
    """Pictures like those of `pictures`, judged by the accuracy of classifiers trained on them.

    `generated` pictures of every class are made, with `truncation` if given; they have `share` of
    every batch. Raises ValueError for numbers that make no sense.
    """

    pictures: ImageDomain
    generated: int = 200
    share: float = 0.5
    truncation: float | None = None
    selection: str = "error"

    def __post_init__(self) -> None:
        if self.generated < 1 or not 0 < self.share < 1:
            said = f"{self.generated} generated pictures of a class, {self.share} of a batch"
            raise ValueError(f"{said}; wanted 1 or more, and a share between 0 and 1")

    def sample(
        self,
        generator: Generator,
        n: int,
        rng: torch.Generator,
        first: int = 0,
        *,
        label: str | None = None,
        labels: str | None = None,
        truncation: float | None = None,
    ) -> list[Image.Image]:
        """Draw `n` pictures as `ImageDomain.sample` does, the classes in turn from `first` on.

        label: the name or number of a class; all classes in turn without it
        labels: several classes, drawn in turn: 0,1,2
        truncation: latent numbers stay within this: 1 is safe and alike, 3 almost free
        """
        cut = truncation
        return self.pictures.sample(
            generator, n, rng, first, label=label, labels=labels, truncation=cut
        )

    def decode(self, x: Tensor) -> list[Image.Image]:
        """PIL images of (B, C, H, W)."""
        return self.pictures.decode(x)

    def preview(
        self, samples: list[Image.Image], path: Path, columns: int | None = None
    ) -> list[Path]:
        """One PNG of all."""
        return self.pictures.preview(samples, path, columns)

    def write(self, samples: list[Image.Image], folder: Path) -> list[Path]:
        """000000.png, 000001.png ... and grid.png."""
        return self.pictures.write(samples, folder)

    def animate(self, frames: list[list[Image.Image]], path: Path) -> list[Path]:
        """One animated PNG."""
        return self.pictures.animate(frames, path)

    def evaluate(
        self, sampler: Sampler, data: ScarceImages, rng: torch.Generator, cache: Path
    ) -> Table:
        """Accuracies of classifiers on the held-out pictures, with and without generated ones.

        Raises Unmeasurable for any split but "test": there are no others to judge by.
        """
        if data.subset != "test":
            raise Unmeasurable("all pictures but the few to train on are kept to judge by")
        known, held_out = data.split("train").everything(), data.everything()
        classes = len(self.pictures.labels)
        labels = torch.arange(classes).repeat_interleave(self.generated)
        gaussian = gaussian_baseline(known, labels, len(labels), rng)
        model = self._drawn(sampler.generator, labels, rng)
        made = {"Gaussian per class": self._kept(gaussian), "this model": self._kept(model)}
        rows = worth.worth(known, made, held_out, classes, self.share, data.chosen)
        return Table(rows, self._notes(data.per_class, len(held_out.x)))

    def _drawn(self, generator: Any, labels: Tensor, rng: torch.Generator) -> Batch:
        """A picture of the generator for each of `labels` (n,)."""
        source = generator if self.truncation is None else Truncated(generator, self.truncation)
        runs = labels.split(DRAWN_TOGETHER)
        return Batch(torch.cat([sample_once(source, len(run), rng, run) for run in runs]), labels)

    def _kept(self, batch: Batch) -> Batch:
        """The same pictures as a PNG file would keep them."""
        return batch._replace(x=self.pictures.encode(self.pictures.decode(batch.x)))

    def _notes(self, per_class: int, held_out: int) -> tuple[str, ...]:
        """What the rows and columns of the table are."""
        cut = "" if self.truncation is None else f", latents within {self.truncation:g}"
        return (
            f"shares of {held_out:,} held-out real pictures that a classifier puts into their "
            f"class, which saw {per_class} real ones of each; mean of {worth.REPEATS} initial "
            f"weights, the same in every row; each {worth.STEPS} steps of {worth.BATCH} pictures",
            f"real: these alone; the other rows: with {self.generated} made pictures of each class "
            f"in {self.share:.0%} of every batch{cut}",
            "plain: as they are; moved: shifts of up to an eighth of a side and turns of up to 15 "
            "degrees; alone: made pictures only; gain: over the row real",
        )


def _known_and_others(whole: Images, per_class: int, chosen: int) -> tuple[Tensor, Tensor]:
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
