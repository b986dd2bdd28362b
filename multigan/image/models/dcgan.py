"""The DCGAN generator and discriminator (Radford et al. 2015)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.image.models.conditioning import concat_label_embedding, interpolate_labels, slerp
from multigan.image.models.layers import (
    check_labels,
    check_picture,
    check_widths,
    label_embedding,
    minibatch_stddev,
    resolution_pyramid,
)
from multigan.image.models.r3gan import apply_spectral_norm, downsample_stage, upsample_stage


@component
class DCGANDiscriminator(nn.Module):
    """The discriminator of DCGAN: convolutions with stride 2, leaky ReLU, then one linear map.

    A label enters by projection: its embedding, dotted with the features, is added to the logit.

    Args:
        resolution: height and width in pixels, or both: growth(resolution) doubles k >= 1 times.
        channels: 1 grey, 3 colour.
        widths: channels of each stage below the picture, the smallest first (as in the
            generator): k of them.
        norm: "none"; "spectral" bounds every layer's slope; "batch" (the paper's, from the second
            layer on) couples the samples of a batch, so that no penalty on the slope can be taken.
        classes: number of classes; None for a discriminator without labels.
        stddev_group: samples whose spread is shown to the last map (0: it is not); couples them.

    Raises ValueError for sizes that do not fit each other and for an unknown norm.
    Source: Radford et al. 2016 (DCGAN), section 3; Miyato and Koyama 2018 (projection), eq. (3);
    Miyato et al. 2018 (spectral normalisation), section 2.1.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        norm: str = "none",
        classes: int | None = None,
        stddev_group: int = 0,
    ) -> None:
        super().__init__()
        if norm not in ("none", "spectral", "batch"):
            raise ValueError(f"norm is {norm!r}; wanted 'none', 'spectral' or 'batch'")
        self.growth = resolution_pyramid(resolution, at_least=1)
        check_widths(widths, self.growth.doublings, resolution)
        self.channels, self.classes = channels, classes
        self.stddev_group, self.uses_batch_statistics = (
            stddev_group,
            norm == "batch" or stddev_group > 0,
        )
        outputs = tuple(reversed(widths))
        layers = downsample_stage(channels, outputs[0], batch_norm=False)
        for before, width in itertools.pairwise(outputs):
            layers += downsample_stage(before, width, norm == "batch")
        self.body = nn.Sequential(*layers)
        wide = (widths[0] + (stddev_group > 0)) * math.prod(self.growth.start)
        self.head = nn.Linear(wide, 1, bias=False)  # a relativistic loss could not move a bias
        self.label = None if classes is None else nn.Embedding(classes, wide)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=DCGAN_STD)
        if norm == "spectral":
            apply_spectral_norm(self)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the last linear map sees: (B, 16 widths[0] or more); the labels play no part."""
        check_picture(x, self.channels, self.growth.size)
        h = self.body(self.growth.extend(x))  # (B, widths[0], 4, 4), or more
        return (minibatch_stddev(h, self.stddev_group) if self.stddev_group > 0 else h).flatten(1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), labels (B,) -> logits (B,)."""
        check_labels(condition, self.classes, len(x))
        h = self.features(x)  # (B, 16 widths[0], or more)
        logits = in_float32(self.head, h).squeeze(1)
        return logits if self.label is None else logits + (h * self.label(condition)).sum(1)


DCGAN_STD = 0.02  # of all initial weights (Radford et al. 2016, section 3)


@component
class DCGANGenerator(nn.Module):
    """The generator of DCGAN: transposed convolutions with stride 2, batch norm, ReLU, tanh.

    Kernels are 4x4, which meets every output pixel equally often (the paper has 5x5).

    Args:
        resolution: height and width in pixels, or both: growth(resolution) doubles k >= 1 times.
        channels: 1 grey, 3 colour.
        widths: channels of each stage below the picture, the smallest first: k of them.
        norm: "batch" or "none".
        latent_dim: length of z ~ N(0, I); a label adds an embedding of the same length.
        classes: number of classes; None for a generator without labels.

    Raises ValueError for sizes that do not fit each other and for an unknown norm.
    Source: Radford et al. 2016 (DCGAN), section 3.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        norm: str = "batch",
        latent_dim: int = 64,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f"norm is {norm!r}; wanted 'batch' or 'none'")
        self.growth = resolution_pyramid(resolution, at_least=1)
        check_widths(widths, self.growth.doublings, resolution)
        self.latent_dim, self.classes = latent_dim, classes
        self.label = None if classes is None else label_embedding(classes, latent_dim)
        inputs = latent_dim * (1 if classes is None else 2)
        layers: list[nn.Module] = []
        for stage, (before, width) in enumerate(zip((inputs, *widths), widths, strict=False)):
            layers += upsample_stage(
                before, width, norm, start=None if stage else self.growth.start
            )
        self.body = nn.Sequential(*layers)
        self.to_picture = nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1)
        for layer in (*self.body, self.to_picture):
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=DCGAN_STD)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw z ~ N(0, I): (n, Z), on the CPU."""
        return torch.randn(n, self.latent_dim, generator=rng)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, Z), labels (B,) -> (B, C, H, W) in [-1, 1]."""
        return self._draw(concat_label_embedding(latent, condition, self.label, self.classes))

    def interpolate_condition(self, latent: Tensor, start: Tensor, end: Tensor, t: float) -> Tensor:
        """Pictures (B, C, H, W) at share `t` of the way between labels: see `between_labels`."""
        return self._draw(interpolate_labels(latent, start, end, t, self.label))

    def _draw(self, z: Tensor) -> Tensor:
        """(B, Z) or, with the label's embedding, (B, 2 Z) -> (B, C, H, W)."""
        return self.growth.cut(self.to_picture(self.body(z[:, :, None, None]))).tanh()

    def example_condition(self, n: int) -> Tensor | None:
        """Labels (n,) of the first class, if there are classes."""
        return None if self.classes is None else torch.zeros(n, dtype=torch.int64)

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """The latent at share `t` of the arc from `a` to `b`: see `slerp`."""
        return slerp(a, b, t)
