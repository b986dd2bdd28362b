"""Class-balanced subsets: equally many images of every class from several datasets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from multigan.core.protocols import Batch, Dataset, HasLabels

CHUNK = 256  # images per forward pass


def class_balanced_subsets(sets: Sequence[Dataset], max_samples: int) -> list[Batch]:
    """Take equally many samples of every class from each set, about `max_samples` at most.

    If class fractions differ by chance, they raise a Frechet distance: two random subsets of the
    digits are twice as far apart as two with equal fractions.
    """
    chosen = class_balanced_indices(sets, max_samples)
    return [data.batch(indices) for data, indices in zip(sets, chosen, strict=True)]


def class_balanced_indices(sets: Sequence[Dataset], max_samples: int) -> list[Tensor]:
    """Return the indices of the samples of `class_balanced_subsets`, class by class."""
    members = [_by_class(data) for data in sets]
    counts = {label: min(len(m.get(label, ())) for m in members) for label in members[0]}
    total = sum(counts.values())
    if total > max_samples:
        counts = {label: -(-count * max_samples // total) for label, count in counts.items()}
    none = torch.arange(0)
    return [
        torch.cat([none, *(_spaced(m.get(k, none), n) for k, n in counts.items())]) for m in members
    ]


def _by_class(data: Dataset) -> dict[int, Tensor]:
    """Return the indices (n,) of each class, in order of the labels; all under 0 without labels."""
    indices = torch.arange(len(data))
    if isinstance(data, HasLabels) and data.labels is not None:
        own = data.labels.cpu()
        labels = own.repeat(len(indices) // max(1, len(own)))  # flipped images follow the others
        return {label: indices[labels == label] for label in labels.unique().tolist()}
    if not len(data) or data.batch(indices[:1]).condition is None:
        return {0: indices}
    labels = torch.cat([data.batch(run).condition for run in indices.split(CHUNK)])
    return {label: indices[labels == label] for label in labels.unique().tolist()}


def _spaced(indices: Tensor, n: int) -> Tensor:
    """Return `n` of the indices, evenly spaced."""
    return indices[torch.arange(n) * len(indices) // max(1, n)]
