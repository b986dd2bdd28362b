"""Samples compared with data: the training items nearest to them, and statistics of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from multigan.core.protocols import Dataset, Sample


class NearestItems(NamedTuple):
    """The training item nearest to each sample, and its distance, 0 for an equal one.

    `num_compared` is the number of training items that were read.
    """

    items: list[Sample]
    distances: list[float]
    num_compared: int


@runtime_checkable
class SupportsNearestItems(Protocol):
    """A domain that finds the training items nearest to samples: shows copies in a report.

    `distance_name` says what the distance is, and its range.
    """

    distance_name: str

    def nearest_items(
        self, samples: Sequence[Sample], data: Dataset, rng: torch.Generator
    ) -> NearestItems:
        """The nearest items of the training split `data`; `rng` chooses them where it is large.

        No items at all for data that cannot be compared.
        """
        ...


class Statistic(NamedTuple):
    """A value of samples and of held-out items for each row: name, samples, held-out items.

    `unit` is of the values.
    """

    title: str
    unit: str
    rows: list[tuple[str, float, float]]


@runtime_checkable
class SupportsSampleStatistics(Protocol):
    """A domain with statistics that a report shows of samples and of held-out items."""

    def sample_statistics(self, samples: Sequence[Sample], held_out: Dataset) -> list[Statistic]:
        """The statistics of samples and of as many items of a held-out split."""
        ...
