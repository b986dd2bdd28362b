"""A set of images that is made of numbers alone."""

import torch

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng


class Images:
    """Sixty gray 8 x 8 images of two classes: dark and bright noise."""

    fingerprint = "sixty"

    def __len__(self):
        return 60

    def batch(self, indices, rng=None):
        labels = torch.arange(60) % 2
        noise = torch.randn(60, 1, 8, 8, generator=keyed_rng("sixty"))
        return Batch((noise + labels[:, None, None, None])[indices], labels[indices])
