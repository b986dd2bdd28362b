"""The image domain: sampling, decoding, writing and evaluating images."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multigan.core.data_comparison import NearestItems
from multigan.core.modules import sample_batch
from multigan.core.option_controls import Projection, Range, Several
from multigan.core.progress import tracked
from multigan.core.protocols import Dataset, Generator, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.image.formats.decode import Size, decode
from multigan.image.formats.labels import quoted
from multigan.image.formats.values import ReadOptions
from multigan.image.metrics import evaluation
from multigan.image.metrics.nearest_images import nearest_images
from multigan.image.projector import invert
from multigan.image.rendering import (
    chunk,
    encode_png,
    enlarge,
    grid_rows_by_class,
    image_grid,
    save_png,
    write_animation,
)
from multigan.image.sampling import TruncatedLatents
from multigan.image.spec import MODES, ImageSpec, from_uint8, to_uint8

MAX_NAMES_SHOWN = 20  # class names that an error lists
MAX_SCALE = 64  # of an image that is enlarged
MAX_CHECK_BOXES = 20  # of classes on a page; more are typed
MAX_TRUNCATION, MAX_SHOWN_SCALE = 3.0, 8  # ends of the sliders of the studio


@component
@dataclass(frozen=True)
class ImageDomain(ImageSpec):
    """Images (C, H, W) in [-1, 1] of 1, 3 or 4 channels; class names give a condition, labels (B,).

    A sample is a PIL image; a sample of a class carries the class name in `info["label"]`.
    Raises ValueError if `channels` is not 1, 3 or 4.
    """

    selection_metric: str = field(default="frechet_distance", init=False)
    condition_options: ClassVar[tuple[str, ...]] = ("label", "labels")
    distance_name: ClassVar[str] = "root mean squared difference of pixels, 0 to 1"
    refiner_epochs: ClassVar[int] = 0  # training teaches it pixel values that no candidate has

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
        scale: int = 1,
    ) -> list[Image.Image]:
        """Sample `n` images of one class, of several in turn, or of all in turn.

        label: the name or index of a class; without it all classes in turn
        labels: several classes in turn: 0,1,2; a name with a comma may stand in "quotes"
        truncation: threshold for the latents; smaller values trade diversity for fidelity
        scale: whole factor that enlarges each image, for small ones

        `first` is the index of the first of these samples among all requested ones.
        Raises ValueError for an unknown label, listing the known ones, and for a scale that is not
        in 1 to MAX_SCALE.
        """
        if not 1 <= scale <= MAX_SCALE:
            raise ValueError(f"scale must be a whole factor from 1 to {MAX_SCALE}; got {scale}")
        if label is not None and labels is not None:
            raise ValueError("only one of label and labels can be given; got both")
        names = [] if label is None else [str(label)]
        if labels is not None:
            names = self._split_labels(labels)
        condition = self._labels_for(torch.arange(first, first + n), names)
        source: Generator = (
            generator if truncation is None else TruncatedLatents(generator, truncation)
        )
        images = self.decode(sample_batch(source, n, rng, condition))
        if scale > 1:
            images = [enlarge(image, scale) for image in images]
        if condition is not None:
            for image, index in zip(images, condition.tolist(), strict=True):
                image.info["label"] = self.class_names[index]
        return images

    def option_choices(self) -> dict[str, tuple[str, ...]]:
        """Return the class names; without classes the options have no values."""
        return {"label": self.class_names} if self.class_names else {"label": (), "labels": ()}

    def option_controls(self) -> dict[str, Range | Several]:
        """Sliders for truncation and scale; check boxes for a few classes."""
        sliders: dict[str, Range | Several] = {
            "truncation": Range(0.1, MAX_TRUNCATION, 0.1, MAX_TRUNCATION, "off"),
            "scale": Range(1, MAX_SHOWN_SCALE, 1, 1),
        }
        has_few = 0 < len(self.class_names) <= MAX_CHECK_BOXES
        return sliders | ({"labels": Several(tuple(self.class_names), "label")} if has_few else {})

    def decode(self, x: Tensor) -> list[Image.Image]:
        """Convert (B, C, H, W), clamped to [-1, 1], to PIL images (L, RGB or RGBA).

        Raises ValueError for images of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"images must have shape {self.shape}; got {tuple(x.shape[1:])}")
        pixels = to_uint8(x.detach().cpu()).permute(0, 2, 3, 1)  # (B, H, W, C)
        arrays = pixels.squeeze(3) if self.channels == 1 else pixels
        return [Image.fromarray(array) for array in arrays.numpy()]

    def images_to_tensor(self, samples: list[Image.Image]) -> Tensor:
        """Convert PIL images of this size to (B, C, H, W) in [-1, 1]: the inverse of `decode`.

        Raises ValueError for an image of another size.
        """
        size = (self.width, self.height)
        for sample in samples:
            if sample.size != size:
                raise ValueError(f"images must have {size} pixels; got {sample.size}")
        arrays = [np.array(sample.convert(MODES[self.channels])) for sample in samples]
        pixels = torch.from_numpy(np.stack(arrays))
        return from_uint8(pixels.reshape(-1, *size[::-1], self.channels).permute(0, 3, 1, 2))

    def preview(
        self, samples: list[Image.Image], path: Path, columns: int | None = None
    ) -> list[Path]:
        """Write `path` + ".png": a grid of all images, small ones enlarged, by class.

        With `columns` the images keep their order, that many in each row.
        """
        rows = grid_rows_by_class(samples) if columns is None else chunk(samples, columns)
        file = path.with_name(path.name + ".png")
        save_png(image_grid(rows, self), file)
        return [file]

    def media(self, samples: list[Image.Image]) -> list[Medium]:
        """Return a PNG of each image at its own size, with its class name as metadata."""
        return [Medium("image/png", encode_png(sample)) for sample in samples]

    def write(self, samples: list[Image.Image], folder: Path) -> list[Path]:
        """Write 000000.png, 000001.png ... and grid.png."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{number:06d}.png" for number in range(len(samples))]
        pairs = zip(samples, files, strict=True)
        for sample, file in tracked(pairs, len(files), "images written"):
            save_png(sample, file)
        return files + (self.preview(samples, folder / "grid") if samples else [])

    def read_samples(self, folder: Path) -> list[Image.Image]:
        """Read the images that `write` wrote, in order, with their labels."""
        samples = []
        for file in sorted(folder.glob("[0-9]" * 6 + ".png")):
            with Image.open(file) as image:
                image.load()
                samples.append(image.copy())
        return samples

    def animate(self, frames: list[list[Image.Image]], path: Path) -> list[Path]:
        """Write `path` + ".png": an animated grid; `frames` holds the samples of each moment."""
        file = path.with_name(path.name + ".png")
        columns = math.ceil(math.sqrt(len(frames[0])))
        grids = [image_grid(chunk(samples, columns), self) for samples in frames]
        write_animation(grids, file)
        return [file]

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Compare real images, a Gaussian and the generator; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, sampler.generator, data, rng, cache)

    def nearest_items(
        self, samples: Sequence[Image.Image], data: Dataset, rng: torch.Generator
    ) -> NearestItems:
        """Find the training image with the smallest difference of pixels to each sample."""
        x = self.images_to_tensor(list(samples))
        images, distances, count = nearest_images(x, data, rng)
        return NearestItems(self.decode(images), distances, count)

    def read_file(self, file: Path) -> Tensor:
        """Read an image file as (1, C, H, W) in [-1, 1], with this size and these channels.

        Raises ValueError for a file that cannot be read.
        """
        try:
            options = ReadOptions(alpha=self.channels == 4)
            pixels = decode(file.read_bytes(), Size(self.height, self.width), options)
        except OSError as error:
            raise ValueError(f"{file} cannot be read: {error}") from None
        except Exception as error:  # third-party decoders raise arbitrary exceptions
            raise ValueError(f"{file} cannot be used: {error}") from None
        array = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        return self.images_to_tensor([Image.fromarray(array)])

    def project(
        self, generator: Generator, file: Path, steps: int, rng: torch.Generator
    ) -> Projection:
        """Find the latent, and the class if there are any, whose image is nearest to a file."""
        found = invert(generator, self.num_classes, self.read_file(file), steps, rng)
        label = {} if found.label is None else {"label": self.class_names[found.label]}
        return Projection(found.latent[None], label, moved_by=("truncation",))

    def _split_labels(self, text: str) -> list[str]:
        """Split a list of classes at commas that belong to no name, and are not in quotes."""
        if text in self.class_names:
            return [text]
        (cells,) = csv.reader([text], skipinitialspace=True) if '"' in text else [text.split(",")]
        found: list[str] = []
        while cells:
            joined = [",".join(cells[:k]).strip() for k in range(1, len(cells) + 1)]
            length = max(
                (k for k, name in enumerate(joined) if name in self.class_names), default=0
            )
            found.append(joined[length])
            cells = cells[length + 1 :]
        return found

    def _labels_for(self, indices: Tensor, names: list[str]) -> Tensor | None:
        """Return labels (n,) of the named classes in turn, or of all; None without classes."""
        if not names:
            return indices % self.num_classes if self.class_names else None
        return torch.tensor(self._label_indices(names))[indices % len(names)]

    def _label_indices(self, requested: list[str]) -> list[int]:
        """Return the indices of the requested classes: all are names, or all are indices.

        Names and indices may be mixed if no class is named by a number. `7` is the class `07`.
        """
        if not self.class_names:
            raise ValueError(f"label {','.join(requested)}: these images have no classes")
        names = {name: number for number, name in enumerate(self.class_names)}
        numbers = {str(number): number for number in range(self.num_classes)}
        numerals = {str(int(name)): names[name] for name in names if name.isdecimal()}
        mixed = {} if numerals else numbers | names
        for table in (names, numerals | names, numbers, mixed):
            if all(name in table for name in requested):
                return [table[name] for name in requested]
        more = ", ..." if self.num_classes > MAX_NAMES_SHOWN else ""
        listed = ", ".join(map(quoted, self.class_names[:MAX_NAMES_SHOWN])) + more
        for name in requested:
            if name not in names and name not in numbers:
                raise ValueError(f"label {quoted(name)}: no such class; known: {listed}")
        raise ValueError(
            f"labels must be all names or all indices of classes; got {','.join(requested)}; "
            f"known: {listed}"
        )
