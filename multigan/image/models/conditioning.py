"""Label embeddings of generators, and interpolation of labels and latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.image.models.layers import (
    check_labels,
)

PARALLEL = 1e-6  # sine of an angle below which slerp is linear


def concat_label_embedding(
    latent: Tensor, condition: Tensor | None, label: nn.Embedding | None, classes: int | None
) -> Tensor:
    """`latent` (B, Z), followed by the embedding of its label if there are classes.

    Raises ValueError in one line if `condition` is not what `classes` asks for.
    """
    check_labels(condition, classes, latent.shape[0])  # len() would fix B in an export
    return latent if label is None else torch.cat([latent, label(condition)], dim=1)


def interpolate_labels(
    latent: Tensor, start: Tensor, end: Tensor, t: float, label: nn.Embedding | None
) -> Tensor:
    """`latent` (B, Z), followed by what lies at share `t` between two labels' embeddings.

    Raises ValueError for a generator without labels.
    """
    if label is None:
        raise ValueError("this generator was built without classes; there is nothing to morph")
    return torch.cat([latent, torch.lerp(label(start), label(end), t)], dim=1)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point (B, Z) at share `t` in [0, 1] of the great arc from `a` to `b`, row by row.

    The length moves linearly from |a| to |b|, so that points in between are as long as Gaussian
    latents are: a straight line would pass through the unlikely middle. Parallel and opposite
    rows have no one arc and are joined by the line.

    Source: Shoemake 1985; for GAN latents White 2016, section 2.1.
    """
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = a / length_a, b / length_b
    angle = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1).acos()  # (B, 1)
    sine = angle.sin()
    arc = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / sine
    length = (1 - t) * length_a + t * length_b
    return torch.where(sine > PARALLEL, length * arc, (1 - t) * a + t * b)
