"""How evenly pictures change along a path between two latents.

Source: Karras et al. 2019 (StyleGAN), section 4.1: perceptual path length. Its distance is LPIPS,
which needs downloaded weights; here it is the squared distance of the extractor's features, and no
extreme value is left out. Its steps are so small that pictures of fewer bits than float32's would
differ by their rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import Condition
from multigan.core.trees import tree_map

STEP = 1e-4  # of t in [0, 1], between the two pictures that are compared
PLACES, NUM_PATHS = 16, 32  # values of t, and paths at each


@torch.no_grad()
def path_length(
    generator: Any,
    features: Callable[[Tensor], Tensor],
    labels: Tensor | None,
    rng: torch.Generator,
) -> dict[str, float]:
    """The path length, and its ratio to the squared distance of its ends; nothing without paths.

    path_length: E |f(G(z_t)) - f(G(z_{t+e}))|^2 / e^2 over latents z_t between two drawn ones, t
    even over [0, 1], labels (n,) kept along a path. path_ratio: that over E |f(G(z_0)) -
    f(G(z_1))|^2. No path is shorter than the straight line: 1 is the least, and larger values are
    sudden changes (Cauchy-Schwarz).
    """
    if not hasattr(generator, "interpolate"):
        return {}
    moved, apart = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    with eval_mode(generator), no_tf32():
        for place in range(PLACES):
            t = (place + float(torch.rand((), generator=rng))) / PLACES * (1 - STEP)
            walk = _walk(generator, features, _labels(labels, place), rng)
            moved += _squared(walk(t + STEP), walk(t)) / STEP**2
            apart += _squared(walk(1.0), walk(0.0))
    return {"path_length": float(moved) / PLACES, "path_ratio": float(moved / apart)}


@contextmanager
def no_tf32() -> Iterator[None]:
    """A block in which no convolution on a GPU shortens its float32 inputs (to TF32's 10 bits)."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _walk(
    generator: Any, features: Callable[[Tensor], Tensor], labels: Condition, rng: torch.Generator
) -> Callable[[float], Tensor]:
    """The function t -> features (WALKS, F) along WALKS paths between drawn latents."""
    device = device_of(generator)

    def to_device(leaf: Tensor) -> Tensor:
        return leaf.to(device)

    a, b = (tree_map(to_device, generator.sample_latent(NUM_PATHS, rng)) for _ in range(2))
    condition = tree_map(to_device, labels)

    def at(t: float) -> Tensor:
        return features(generator(generator.interpolate(a, b, t), condition).cpu())

    return at


def _labels(labels: Tensor | None, place: int) -> Tensor | None:
    """WALKS of the labels, others for each place."""
    if labels is None:
        return None
    return labels[(torch.arange(NUM_PATHS) * len(labels) // NUM_PATHS + place) % len(labels)]


def _squared(ends: Tensor, starts: Tensor) -> Tensor:
    """The mean squared distance of two runs of rows (n, F): a float64 scalar."""
    return (ends - starts).double().square().sum(1).mean()
