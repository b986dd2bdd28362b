"""Label embeddings of generators, and interpolation of labels and latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.image.models.layers import check_labels

MIN_SINE = 1e-6  # of an angle; below it slerp is linear


def concat_label_embedding(
    latent: Tensor, condition: Tensor | None, label: nn.Embedding | None, num_classes: int | None
) -> Tensor:
    """Concatenate `latent` (B, Z) and the embedding of its label, if there are classes.

    Raises ValueError if `condition` does not match `num_classes`.
    """
    check_labels(condition, num_classes, latent.shape[0])  # len() would fix B in an export
    return latent if label is None else torch.cat([latent, label(condition)], dim=1)


def interpolate_labels(
    latent: Tensor, start: Tensor, end: Tensor, t: float, label: nn.Embedding | None
) -> Tensor:
    """Concatenate `latent` (B, Z) and the label embedding at fraction `t` from `start` to `end`.

    Raises ValueError for a generator without labels.
    """
    if label is None:
        raise ValueError(
            "the generator must have classes to interpolate labels; it was built without"
        )
    return torch.cat([latent, torch.lerp(label(start), label(end), t)], dim=1)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical linear interpolation: the point (B, Z) at fraction `t` of the arc from `a` to `b`.

    The norm is interpolated linearly from |a| to |b|: points in between have the norm of Gaussian
    latents, unlike those on a straight line. Parallel and opposite rows have no unique arc and are
    interpolated linearly.

    Source: Shoemake 1985; for GAN latents White 2016, section 2.1.
    """
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = a / length_a, b / length_b
    angle = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1).acos()  # (B, 1)
    sine = angle.sin()
    arc = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / sine
    length = (1 - t) * length_a + t * length_b
    return torch.where(sine > MIN_SINE, length * arc, (1 - t) * a + t * b)
