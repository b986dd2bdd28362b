"""Label embeddings of generators, and interpolation of labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multigan.image.models.layers import check_labels


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
