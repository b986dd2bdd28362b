"""What one sample is: a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multigan.core.modules import sample_batch
from multigan.core.protocols import Dataset, Generator, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.image.metrics import evaluation
from multigan.image.rendering import (
    chunk,
    encode_png,
    grid_rows_by_class,
    save_png,
    write_animation,
)
from multigan.image.sampling import TruncatedLatents
from multigan.image.spec import from_uint8, to_uint8

MIN_TILE_PIXELS = 64  # pixels: a preview enlarges smaller pictures to about this side
GAP = 2  # pixels between the pictures of a preview
BACKGROUND = 255  # the colour of the gaps
MODES = {1: "L", 3: "RGB"}  # channels -> PIL mode
NAMES_SHOWN = 20  # class names that an error lists


@component
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
    selection_metric: str = field(default="frechet", init=False)
    condition_options: ClassVar[tuple[str, ...]] = ("label", "labels")

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise ValueError(f"pictures of {self.channels} channels; wanted 1 (grey) or 3 (RGB)")

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
        """Draw `n` pictures of one class, or of several in turn, or of all from the first on.

        label: the name or number of a class; all classes in turn without it
        labels: several classes, drawn in turn: 0,1,2
        truncation: latent numbers stay within this: 1 is safe and alike, 3 almost free

        Raises ValueError for a label that there is not, naming those there are.
        """
        if label is not None and labels is not None:
            raise ValueError("label and labels are both given; wanted one of them")
        names = [] if label is None else [str(label)]
        if labels is not None:
            names = [labels] if labels in self.labels else labels.split(",")
        wished = self._wished(torch.arange(first, first + n), names)
        source: Any = generator if truncation is None else TruncatedLatents(generator, truncation)
        pictures = self.decode(sample_batch(source, n, rng, wished))
        if wished is not None:
            for picture, index in zip(pictures, wished.tolist(), strict=True):
                picture.info["label"] = self.labels[index]
        return pictures

    def option_choices(self) -> dict[str, tuple[str, ...]]:
        """The classes; without any there is nothing to wish of them."""
        return {"label": self.labels} if self.labels else {"label": (), "labels": ()}

    def decode(self, x: Tensor) -> list[Image.Image]:
        """PIL images (L or RGB) of (B, C, H, W), clamped to [-1, 1].

        Raises ValueError for pictures of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"pictures of shape {tuple(x.shape[1:])}; wanted {self.shape}")
        pixels = to_uint8(x.detach().cpu()).permute(0, 2, 3, 1)  # (B, H, W, C)
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
        return from_uint8(pixels.reshape(-1, *wanted[::-1], self.channels).permute(0, 3, 1, 2))

    def preview(
        self, samples: list[Image.Image], path: Path, columns: int | None = None
    ) -> list[Path]:
        """Write `path` + ".png": all pictures, small ones enlarged, a row per class.

        With `columns` they stand in the given order, that many side by side.
        """
        rows = grid_rows_by_class(samples) if columns is None else chunk(samples, columns)
        file = path.with_name(path.name + ".png")
        save_png(self._grid(rows), file)
        return [file]

    def media(self, samples: list[Image.Image]) -> list[Medium]:
        """A PNG of each picture at its own size; one that was drawn for a class says which."""
        return [Medium("image/png", encode_png(sample)) for sample in samples]

    def write(self, samples: list[Image.Image], folder: Path) -> list[Path]:
        """Write 000000.png, 000001.png ... and grid.png."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{number:06d}.png" for number in range(len(samples))]
        for sample, file in zip(samples, files, strict=True):
            save_png(sample, file)
        return files + (self.preview(samples, folder / "grid") if samples else [])

    def read_samples(self, folder: Path) -> list[Image.Image]:
        """The pictures that `write` wrote, in order, with their labels."""
        samples = []
        for file in sorted(folder.glob("[0-9]" * 6 + ".png")):
            with Image.open(file) as image:
                image.load()
                samples.append(image.copy())
        return samples

    def animate(self, frames: list[list[Image.Image]], path: Path) -> list[Path]:
        """Write `path` + ".png", in which every picture of the first frame moves on."""
        file = path.with_name(path.name + ".png")
        across = math.ceil(math.sqrt(len(frames[0])))
        write_animation([self._grid(chunk(samples, across)) for samples in frames], file)
        return [file]

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Measure real pictures, a Gaussian and this model; see `evaluation`."""
        return evaluation.evaluate(self, sampler.generator, data, rng, cache)

    @property
    def resolution(self) -> int | tuple[int, int]:
        """The side of square pictures, else (height, width): what the networks are built for."""
        return self.height if self.height == self.width else (self.height, self.width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return (self.channels, self.height, self.width)

    def _wished(self, turns: Tensor, names: list[str]) -> Tensor | None:
        """Labels (n,) of the named classes in turn, or of all; None in a domain without."""
        if not names:
            return turns % len(self.labels) if self.labels else None
        return torch.tensor(self._numbers(names))[turns % len(names)]

    def _numbers(self, wished: list[str]) -> list[int]:
        """The classes that all are called as wished, or all have these numbers.

        Names and numbers may stand side by side where no class is called by a number.
        """
        if not self.labels:
            raise ValueError(f"label {','.join(wished)}: these pictures have no classes")
        names = {name: number for number, name in enumerate(self.labels)}
        numbers = {str(number): number for number in range(len(self.labels))}
        mixed = {} if any(name.isdecimal() for name in names) else numbers | names
        for known in (names, numbers, mixed):
            if all(wish in known for wish in wished):
                return [known[wish] for wish in wished]
        more = ", ..." if len(self.labels) > NAMES_SHOWN else ""
        listed = ", ".join(self.labels[:NAMES_SHOWN]) + more
        for wish in wished:
            if wish not in names and wish not in numbers:
                raise ValueError(f"label {wish}: no such class; known: {listed}")
        raise ValueError(
            f"labels {','.join(wished)}: names of classes and numbers from 0 on are mixed; "
            f"known: {listed}"
        )

    def _grid(self, rows: list[list[Image.Image]]) -> Image.Image:
        """One picture of all, each enlarged by a whole factor."""
        factor = max(1, MIN_TILE_PIXELS // max(self.height, self.width))
        wide, high = self.width * factor + GAP, self.height * factor + GAP
        size = (wide * max(map(len, rows), default=0) + GAP, high * len(rows) + GAP)
        grid = Image.new(MODES[self.channels], size, (BACKGROUND,) * self.channels)
        for down, row in enumerate(rows):
            for across, sample in enumerate(row):
                tile = sample.resize((wide - GAP, high - GAP), Image.Resampling.NEAREST)
                grid.paste(tile, (GAP + across * wide, GAP + down * high))
        return grid
