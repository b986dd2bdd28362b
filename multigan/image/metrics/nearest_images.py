"""Nearest training images of samples, by the differences of their pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.protocols import Dataset

BLOCK = 512  # images that are compared at once
MAX_VALUES = 1 << 28  # of the training images that are read: all of 87,000 at 32x32 in color


def nearest_images(
    x: Tensor, data: Dataset, rng: torch.Generator
) -> tuple[Tensor, list[float], int]:
    """Find the training image (n, C, H, W) nearest to each of `x`, both in [-1, 1].

    Returns the images, their root mean squared differences, where pixels are 0 to 1, and the number
    of images that were read. A set of more than MAX_VALUES values is sampled.
    """
    rows = x.float().flatten(1)
    count = min(len(data), max(1, MAX_VALUES // rows.shape[1]))
    indices = torch.randperm(len(data), generator=rng)[:count].sort().values
    best = torch.full((len(rows),), torch.inf)
    nearest = torch.zeros_like(x)
    for block in indices.split(BLOCK):
        images = data.batch(block, rng).x.cpu().float()
        distances = torch.cdist(rows, images.flatten(1)).min(1)
        is_nearer = distances.values < best
        best[is_nearer] = distances.values[is_nearer]
        nearest[is_nearer] = images[distances.indices[is_nearer]].to(x)
    # Half, because pixels are in [-1, 1] here; exact, because cdist subtracts large numbers.
    differences = (rows - nearest.float().flatten(1)).square().mean(1).sqrt() / 2
    return nearest, differences.tolist(), count
