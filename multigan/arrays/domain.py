"""The domain of arrays: sampling, files, plots and evaluation in data space."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from multigan.arrays import metrics
from multigan.arrays.rendering import plot
from multigan.core.modules import sample_batch
from multigan.core.protocols import Condition, Dataset, Generator, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.core.trees import tree_map
from multigan.storage.files import read_arrays, write_atomically

Array = np.ndarray[Any, Any]
MAX_NAMES_SHOWN = 20  # class names that an error lists
SAMPLES = "samples.npy"


@component
@dataclass(frozen=True)
class ArrayDomain:
    """Arrays of `shape`, float32, as they are in the data: nothing is scaled or clamped.

    With `labels` the condition is a label (B,), an integer of them; `class_names` names each.
    `conditions` holds examples of any other condition (N, ...); it does not survive JSON.
    """

    shape: tuple[int, ...]
    labels: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    selection_metric: str = field(default="frechet_distance", init=False)
    conditions: Condition = field(default=None, init=False, repr=False, compare=False)
    condition_options: ClassVar[tuple[str, ...]] = ("label", "condition")

    def with_conditions(self, conditions: Condition) -> ArrayDomain:
        """Return this domain with examples of the condition, a tree of tensors (N, ...)."""
        domain = ArrayDomain(self.shape, self.labels, self.class_names)
        object.__setattr__(domain, "conditions", conditions)
        return domain

    def sample(
        self,
        generator: Generator,
        n: int,
        rng: torch.Generator,
        first: int = 0,
        *,
        label: str | None = None,
        condition: Path | None = None,
    ) -> list[Array]:
        """Sample `n` arrays under one label or array, or under all of them in turn.

        label: the name of a class, or its number; without it all classes in turn
        condition: a .npy file of conditions, used in turn; in Python also an array

        `first` is the index of the first of these samples among all requested ones.
        Raises ValueError for an unknown label, or conditions that the data do not have.
        """
        rows = torch.arange(first, first + n)
        if condition is not None:
            given = _read_conditions(condition)
            found: Condition = given[rows % len(given)]
        elif label is not None or self.labels:
            values = torch.tensor(self.labels if label is None else [self._label(str(label))])
            found = values[rows % len(values)]
        else:
            found = tree_map(lambda leaf: leaf[rows % len(leaf)], self.conditions)
        return self.decode(sample_batch(generator, n, rng, found))

    def option_choices(self) -> dict[str, tuple[str, ...]]:
        """Return the class names; without classes the option has no values."""
        return {"label": self.class_names}

    def _label(self, name: str) -> int:
        known = dict(zip(self.class_names, self.labels, strict=True))
        if name not in known:
            more = ", ..." if len(known) > MAX_NAMES_SHOWN else ""
            listed = ", ".join(list(known)[:MAX_NAMES_SHOWN]) + more
            raise ValueError(f"label must be one of {listed or 'none: no y'}; got {name}")
        return known[name]

    def decode(self, x: Tensor) -> list[Array]:
        """Return the samples of (B, ...) as float32 arrays."""
        return list(x.detach().cpu().float().numpy())

    def preview(self, samples: list[Array], path: Path, columns: int | None = None) -> list[Path]:
        """Write `path` + ".png": a histogram, points, curves or a grid, by the shape.

        `columns` arrays stand side by side in a grid.
        """
        file = path.with_name(path.name + ".png")
        write_atomically(file, plot(samples, columns))
        return [file]

    def media(self, samples: list[Array]) -> list[Medium]:
        """Return one PNG of all arrays, as in a preview."""
        return [Medium("image/png", plot(samples))]

    def write(self, samples: list[Array], folder: Path) -> list[Path]:
        """Write all arrays into one `samples.npy` (N, ...), float32."""
        import io

        stacked = np.stack(samples) if samples else np.zeros((0, *self.shape), np.float32)
        content = io.BytesIO()
        np.save(content, stacked)
        write_atomically(folder / SAMPLES, content.getvalue())
        return [folder / SAMPLES]

    def read_samples(self, folder: Path) -> list[Array]:
        """Return the arrays that `write` wrote, exactly."""
        return list(next(iter(read_arrays(folder / SAMPLES).values())))

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Compare real samples, a Gaussian and the generator; see `metrics.evaluate`.

        Nothing takes long, so `cache` is not used.
        """
        return metrics.evaluate(sampler.generator, data, rng, has_labels=bool(self.labels))


def _read_conditions(given: Any) -> Tensor:
    """Return conditions (N, ...) of a .npy file or an array: labels int64, all others float32."""
    if isinstance(given, str | Path):
        given = next(iter(read_arrays(Path(given)).values()))
    found = torch.as_tensor(given)
    if not found.ndim or not len(found):
        raise ValueError(f"condition must have rows; got an array of shape {tuple(found.shape)}")
    return found.float() if found.is_floating_point() else found.long()
