"""Projection of an image to the latent space of a generator."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.core.modules import device_of

NUM_STARTS = 8  # initial latents of each class
LR = 0.2  # of Adam on a latent
PRIOR_WEIGHT = 1e-3  # of a latent's mean square, against the mean squared pixel error


class Inversion(NamedTuple):
    """The latent (Z,), label, image (1, C, H, W) and root mean squared pixel error of a target."""

    latent: Tensor
    label: int | None
    image: Tensor
    distance: float


def invert(
    generator: Any, num_classes: int, target: Tensor, steps: int, rng: torch.Generator
) -> Inversion:
    """Find the latent and label whose image is nearest to `target` (1, C, H, W).

    Adam moves several latents of every class at once; the prior penalizes latents that are longer
    than any in training. Raises ValueError for steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be 1 or more; got {steps}")
    device = device_of(generator)
    start = generator.sample_latent(NUM_STARTS * max(1, num_classes), rng)
    labels = torch.arange(num_classes).repeat_interleave(NUM_STARTS) if num_classes else None
    labels = None if labels is None else labels.to(device)
    latent = start.to(device).requires_grad_()
    target = target.to(device)
    optimizer = torch.optim.Adam([latent], LR)
    for _ in range(steps):
        optimizer.zero_grad()
        errors = (generator(latent, labels) - target).square().flatten(1).mean(1)  # (n,)
        (errors + PRIOR_WEIGHT * latent.square().mean(1)).sum().backward()
        optimizer.step()
    with torch.no_grad():
        images = generator(latent, labels)
        errors = (images - target).square().flatten(1).mean(1)
    best = int(errors.argmin())
    label = None if labels is None else int(labels[best])
    image = images[best : best + 1].cpu()
    return Inversion(latent[best].detach().cpu(), label, image, float(errors[best].sqrt()))
