"""Projection of an image to the latent space of a generator."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from multigan.core.modules import device_of
from multigan.core.protocols import Generator

NUM_STARTS = 8  # initial latents of each class
MAX_STARTS = 128  # latents that are moved: those of 16 classes
LR = 0.2  # of Adam on a latent
PRIOR_WEIGHT = 1e-3  # of a latent's mean square, against the mean squared pixel error


class Inversion(NamedTuple):
    """The latent (Z,), label, image (1, C, H, W) and root mean squared pixel error of a target."""

    latent: Tensor
    label: int | None
    image: Tensor
    distance: float


def invert(
    generator: Generator, num_classes: int, target: Tensor, steps: int, rng: torch.Generator
) -> Inversion:
    """Find the latent and label whose image is nearest to `target` (1, C, H, W).

    Adam moves several latents of every class at once, or of many classes those latents whose images
    are nearest before the first step. The prior penalizes latents that are longer than any in
    training. Raises ValueError for steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be 1 or more; got {steps}")
    device = device_of(generator)
    start = generator.sample_latent(NUM_STARTS * max(1, num_classes), rng)
    labels = torch.arange(num_classes).repeat_interleave(NUM_STARTS) if num_classes else None
    labels = None if labels is None else labels.to(device)
    latent, target = start.to(device), target.to(device)
    if labels is not None and len(labels) > MAX_STARTS:
        chosen = _nearest(generator, latent, labels, target)
        latent, labels = latent[chosen], labels[chosen]
    latent.requires_grad_()
    optimizer = torch.optim.Adam([latent], LR)
    for _ in range(steps):
        optimizer.zero_grad()
        errors = _errors(generator(latent, labels), target)
        (errors + PRIOR_WEIGHT * latent.square().mean(1)).sum().backward()
        optimizer.step()
    with torch.no_grad():
        images = generator(latent, labels)
        errors = _errors(images, target)
    best = int(errors.argmin())
    label = None if labels is None else int(labels[best])
    image = images[best : best + 1].cpu()
    return Inversion(latent[best].detach().cpu(), label, image, float(errors[best].sqrt()))


@torch.no_grad()
def _nearest(generator: Generator, latent: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    """Return the indices of the MAX_STARTS latents whose images are nearest to the target."""
    parts = []
    for first in range(0, len(latent), MAX_STARTS):
        part = slice(first, first + MAX_STARTS)
        parts.append(_errors(generator(latent[part], labels[part]), target))
    return torch.cat(parts).topk(MAX_STARTS, largest=False).indices


def _errors(images: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error (n,) of each image."""
    return (images - target).square().flatten(1).mean(1)
