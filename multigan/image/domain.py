"""What one sample is: a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multigan.contract import (
    Batch,
    Data,
    Generator,
    Medium,
    Sampler,
    Table,
    Unmeasurable,
    sample_once,
)
from multigan.fidelity import expected_coverage
from multigan.image import metrics
from multigan.image.sheet import cut, png_of, rows_by_class, save_png
from multigan.image.truncation import Truncated
from multigan.part import part

COMPARED = 1000  # pictures measured in each row of the table, about, at most
DRAWN_TOGETHER = 64  # pictures per forward pass while measuring
TILE = 64  # pixels: a preview enlarges smaller pictures to about this side
GAP = 2  # pixels between the pictures of a preview
PAPER = 255  # the colour of the gaps
MODES = {1: "L", 3: "RGB"}  # channels -> PIL mode
NAMES_SHOWN = 20  # class names that an error lists


@part
@dataclass(frozen=True)
class ImageDomain:
    """Pictures (C, H, W) in [-1, 1], grey or RGB; with class names the condition is labels (B,).

    A sample is a PIL image; one that was drawn for a class carries the class name in
    `info["label"]`. Raises ValueError if `channels` is neither 1 nor 3.
    """

    channels: int
    height: int
    width: int
    labels: tuple[str, ...] = ()
    selection: str = field(default="frechet", init=False)

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise ValueError(f"pictures of {self.channels} channels; wanted 1 (grey) or 3 (RGB)")

    def sample(
        self,
        generator: Generator,
        n: int,
        rng: torch.Generator,
        *,
        label: str | None = None,
        labels: str | None = None,
        truncation: float | None = None,
    ) -> list[Image.Image]:
        """Draw `n` pictures of one class, or of several in turn, or of all from the first on.

        label: the name or number of a class; all classes in turn without it
        labels: several classes, drawn in turn: 0,1,2
        truncation: latent numbers stay within this: 1 is safe and alike, 3 almost free

        Raises ValueError for a label that there is not, naming those there are.
        """
        if label is not None and labels is not None:
            raise ValueError("label and labels are both given; wanted one of them")
        names = labels.split(",") if labels is not None else [] if label is None else [label]
        wished = self._wished(n, names)
        source: Any = generator if truncation is None else Truncated(generator, truncation)
        pictures = self.decode(sample_once(source, n, rng, wished))
        if wished is not None:
            for picture, index in zip(pictures, wished.tolist(), strict=True):
                picture.info["label"] = self.labels[index]
        return pictures

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The classes; without any there is nothing to wish of them."""
        return {"label": self.labels} if self.labels else {"label": (), "labels": ()}

    def decode(self, x: Tensor) -> list[Image.Image]:
        """PIL images (L or RGB) of (B, C, H, W), clamped to [-1, 1].

        Raises ValueError for pictures of another shape.
        """
        if tuple(x.shape[1:]) != self._shape:
            raise ValueError(f"pictures of shape {tuple(x.shape[1:])}; wanted {self._shape}")
        pixels = to_bytes(x.detach().cpu()).permute(0, 2, 3, 1)  # (B, H, W, C)
        flat = pixels.squeeze(3) if self.channels == 1 else pixels
        return [Image.fromarray(picture) for picture in flat.numpy()]

    def encode(self, samples: list[Image.Image]) -> Tensor:
        """Pictures (B, C, H, W) in [-1, 1] of PIL images of this size: the inverse of `decode`.

        Raises ValueError for an image of another size.
        """
        wanted = (self.width, self.height)
        for sample in samples:
            if sample.size != wanted:
                raise ValueError(f"a picture of {sample.size} pixels; wanted {wanted}")
        arrays = [np.array(sample.convert(MODES[self.channels])) for sample in samples]
        pixels = torch.from_numpy(np.stack(arrays))
        return from_bytes(pixels.reshape(-1, *wanted[::-1], self.channels).permute(0, 3, 1, 2))

    def preview(
        self, samples: list[Image.Image], path: Path, columns: int | None = None
    ) -> list[Path]:
        """Write `path` + ".png": all pictures, small ones enlarged, a row per class.

        With `columns` they stand in the given order, that many side by side.
        """
        rows = rows_by_class(samples) if columns is None else cut(samples, columns)
        file = path.with_name(path.name + ".png")
        save_png(self._grid(rows), file)
        return [file]

    def media(self, samples: list[Image.Image]) -> list[Medium]:
        """A PNG of each picture at its own size; one that was drawn for a class says which."""
        return [Medium("image/png", png_of(sample)) for sample in samples]

    def write(self, samples: list[Image.Image], folder: Path) -> list[Path]:
        """Write 000000.png, 000001.png ... and grid.png."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{number:06d}.png" for number in range(len(samples))]
        for sample, file in zip(samples, files, strict=True):
            save_png(sample, file)
        return files + (self.preview(samples, folder / "grid") if samples else [])

    def evaluate(self, sampler: Sampler, data: Data, rng: torch.Generator, cache: Path) -> Table:
        """Measure training pictures, other held-out ones, a Gaussian per class and this model.

        All rows are held against `data`, a held-out split, at one count. The extractor is kept in
        `cache`. Raises Unmeasurable if a split holds too few pictures for the extractor's width.
        """
        train = data.split("train")
        real, other, known = metrics.matched([data, _another_split(data), train], COMPARED)
        n = len(real.x)
        if n <= metrics.FEATURES:
            raise Unmeasurable(
                f"{n} pictures to measure with; wanted more than {metrics.FEATURES} in each split"
            )
        (memory,) = metrics.matched([train], metrics.REMEMBERED)
        extractor = metrics.extractor_for(train, self._shape, len(self.labels), cache)
        rows = {
            "real (train)": known,
            "real (held out)": other,
            self._baseline_name: metrics.gaussian_baseline(memory, real.condition, n, rng),
            "this model": draw(sampler.generator, n, rng, real.condition),
        }
        measured = {
            name: metrics.measure(extractor, real, quantised(row), memory.x, rng)
            for name, row in rows.items()
        }
        accuracy = metrics.agreement(extractor, real) if self.labels else None
        return Table(measured, self._notes(n, len(memory.x), accuracy))

    @property
    def resolution(self) -> int | tuple[int, int]:
        """The side of square pictures, else (height, width): what the networks are built for."""
        return self.height if self.height == self.width else (self.height, self.width)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return (self.channels, self.height, self.width)

    @property
    def _baseline_name(self) -> str:
        return "Gaussian per class" if self.labels else "one Gaussian"

    def _notes(self, n: int, known: int, accuracy: float | None) -> tuple[str, ...]:
        """What the rows and columns of the table are."""
        network = (
            "an untrained convolutional network with fixed weights"
            if accuracy is None
            else f"a classifier of the training split ({accuracy:.2%} right on the reference)"
        )
        k, coverage = metrics.NEIGHBOURS, expected_coverage(n, n, metrics.NEIGHBOURS)
        return (
            f"{n} pictures in every row, against {n} held-out ones; k = {k}, where equal "
            f"distributions have an expected coverage of {coverage:.3f}",
            f"extractor: {metrics.FEATURES} standardised features of {network}; this is no FID",
            "real (train): what memorising would score; real (held out): the floor of every column "
            "(of frechet above 0: N is finite; of kernel below 0: the class shares are equal)",
            f"{self._baseline_name}: drawn over pixels, with the training pictures' mean and "
            "covariance: what needs no network",
            "diversity: pixel sd within a class over that of real pictures; 1 is right, 0 collapse",
            f"novelty: distance to the nearest of {known} training pictures over that of held-out "
            "ones; about 1 is right, 0 is copying",
        )

    def _wished(self, n: int, names: list[str]) -> Tensor | None:
        """Labels (n,) of the named classes in turn, or of all; None in a domain without."""
        if not names:
            return torch.arange(n) % len(self.labels) if self.labels else None
        return torch.tensor([self._number(name) for name in names])[torch.arange(n) % len(names)]

    def _number(self, label: str) -> int:
        """The class called `label`, or of that number."""
        if not self.labels:
            raise ValueError(f"label {label}: these pictures have no classes")
        numbers = {str(number): number for number in range(len(self.labels))}
        names = {name: number for number, name in enumerate(self.labels)}
        if (found := (numbers | names).get(str(label))) is None:
            more = ", ..." if len(self.labels) > NAMES_SHOWN else ""
            known = ", ".join(self.labels[:NAMES_SHOWN]) + more
            raise ValueError(f"label {label}: no such class; known: {known}")
        return found

    def _grid(self, rows: list[list[Image.Image]]) -> Image.Image:
        """One picture of all, each enlarged by a whole factor."""
        factor = max(1, TILE // max(self.height, self.width))
        wide, high = self.width * factor + GAP, self.height * factor + GAP
        size = (wide * max(map(len, rows), default=0) + GAP, high * len(rows) + GAP)
        grid = Image.new(MODES[self.channels], size, (PAPER,) * self.channels)
        for down, row in enumerate(rows):
            for across, sample in enumerate(row):
                tile = sample.resize((wide - GAP, high - GAP), Image.Resampling.NEAREST)
                grid.paste(tile, (GAP + across * wide, GAP + down * high))
        return grid


def to_bytes(x: Tensor) -> Tensor:
    """Values in [-1, 1], clamped, as uint8 of the same shape: the range is fixed."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_bytes(pixels: Tensor) -> Tensor:
    """uint8 as float32 in [-1, 1]: the inverse of `to_bytes`."""
    return pixels.float() / 127.5 - 1


def quantised(pictures: Batch) -> Batch:
    """The same pictures as a PNG file would keep them."""
    return Batch(from_bytes(to_bytes(pictures.x)), pictures.condition)


def draw(generator: Generator, n: int, rng: torch.Generator, labels: Tensor | None) -> Batch:
    """`n` pictures (n, C, H, W) of a generator, of the classes `labels` (n,) if there are any.

    Raises ValueError for values that are not finite: as bytes they would pass for pictures.
    """
    counts = torch.arange(n).split(DRAWN_TOGETHER)
    wishes = [None] * len(counts) if labels is None else labels.split(DRAWN_TOGETHER)
    runs = zip(counts, wishes, strict=True)
    x = torch.cat([sample_once(generator, len(count), rng, wish) for count, wish in runs])
    if not x.isfinite().all():
        raise ValueError("the generator draws values that are not finite; its training diverged")
    return Batch(x, labels)


def read_samples(folder: Path) -> list[Image.Image]:
    """The pictures that `write` wrote, in order, with their labels."""
    samples = []
    for file in sorted(folder.glob("[0-9]" * 6 + ".png")):
        with Image.open(file) as image:
            image.load()
            samples.append(image.copy())
    return samples


def _another_split(data: Data) -> Data:
    """The held-out split that `data` is not: "test", unless it is that one."""
    test = data.split("test")
    return data.split("valid") if test.fingerprint == data.fingerprint else test
