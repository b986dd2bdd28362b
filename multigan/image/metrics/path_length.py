"""Perceptual path length: the smoothness of images along a path between two latents.

Source: Karras et al. 2019 (StyleGAN), section 4.1: perceptual path length. Its distance is LPIPS,
which needs downloaded weights; here it is the squared distance of the extractor's features, and no
extreme value is excluded. The steps are so small that images of less precision than float32 would
differ by their rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from multigan.core.evaluation_size import evaluation_iterations
from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import Condition, SupportsInterpolation
from multigan.core.trees import tree_map

STEP = 1e-4  # of t in [0, 1], between the two compared images
NUM_POSITIONS, NUM_PATHS = 16, 32  # values of t, and paths at each


@torch.no_grad()
def path_length(
    generator: Any,
    features: Callable[[Tensor], Tensor],
    labels: Tensor | None,
    rng: torch.Generator,
) -> dict[str, float]:
    """Compute the path length and its ratio to the squared distance of its ends.

    path_length: E |f(G(z_t)) - f(G(z_{t+e}))|^2 / e^2 over latents z_t between two sampled ones, t
    uniform over [0, 1], labels (n,) constant along a path. path_length_ratio: that over
    E |f(G(z_0)) - f(G(z_1))|^2. No path is shorter than the straight line: the minimum is 1, and
    larger values are sudden changes (Cauchy-Schwarz). Empty without `interpolate`.
    """
    if not isinstance(generator, SupportsInterpolation):
        return {}
    length, distance = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    positions = evaluation_iterations(NUM_POSITIONS)
    with eval_mode(generator), no_tf32():
        for position in range(positions):
            t = (position + float(torch.rand((), generator=rng))) / positions * (1 - STEP)
            path = _path(generator, features, _labels(labels, position), rng)
            length += _mean_squared(path(t + STEP), path(t)) / STEP**2
            distance += _mean_squared(path(1.0), path(0.0))
    return {
        "path_length": float(length) / positions,
        "path_length_ratio": float(length / distance),
    }


@contextmanager
def no_tf32() -> Iterator[None]:
    """Disable TF32 convolutions, which round float32 inputs to 10 bits, inside a block."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _path(
    generator: Any, features: Callable[[Tensor], Tensor], labels: Condition, rng: torch.Generator
) -> Callable[[float], Tensor]:
    """Return the function t -> features (NUM_PATHS, F) along paths between sampled latents."""
    device = device_of(generator)

    def to_device(leaf: Tensor) -> Tensor:
        return leaf.to(device)

    a, b = (tree_map(to_device, generator.sample_latent(NUM_PATHS, rng)) for _ in range(2))
    condition = tree_map(to_device, labels)

    def at(t: float) -> Tensor:
        return features(generator(generator.interpolate(a, b, t), condition).cpu())

    return at


def _labels(labels: Tensor | None, position: int) -> Tensor | None:
    """Return NUM_PATHS of the labels, different ones for each position."""
    if labels is None:
        return None
    return labels[(torch.arange(NUM_PATHS) * len(labels) // NUM_PATHS + position) % len(labels)]


def _mean_squared(ends: Tensor, starts: Tensor) -> Tensor:
    """Return the mean squared distance of rows (n, F), a float64 scalar."""
    return (ends - starts).double().square().sum(1).mean()
