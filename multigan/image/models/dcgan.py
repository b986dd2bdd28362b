"""The DCGAN generator and discriminator (Radford et al. 2015)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from multigan.core.interpolation import slerp
from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.image.models.conditioning import concat_label_embedding, interpolate_labels
from multigan.image.models.layers import (
    channels_last,
    check_images,
    check_labels,
    check_latent_dim,
    check_widths,
    label_embedding,
    minibatch_stddev,
    resolution_pyramid,
)
from multigan.image.models.r3gan import apply_spectral_norm, downsample_stage, upsample_stage


@component
class DCGANDiscriminator(nn.Module):
    """The discriminator of DCGAN: convolutions with stride 2, leaky ReLU, then one linear map.

    Conditioning by projection: the dot product of label embedding and features is added.

    Args:
        resolution: height and width in pixels, or both; the pyramid has k >= 1 doublings.
        channels: 1 grayscale, 3 color.
        widths: channels of each stage, the lowest resolution first (as in the generator): k.
        norm: "none"; "spectral" bounds the Lipschitz constant of every layer; "batch" (the paper's,
            from the second layer on) uses batch statistics, which excludes gradient penalties.
        num_classes: number of classes; None for a discriminator without labels.
        mbstd_group_size: group size of minibatch stddev; 0 disables it.

    Raises ValueError for inconsistent sizes and for an unknown norm.
    Source: Radford et al. 2016 (DCGAN), section 3; Miyato and Koyama 2018 (projection), eq. (3);
    Miyato et al. 2018 (spectral normalization), section 2.1.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        norm: str = "none",
        num_classes: int | None = None,
        mbstd_group_size: int = 0,
    ) -> None:
        super().__init__()
        if norm not in ("none", "spectral", "batch"):
            raise ValueError(f"norm must be 'none', 'spectral' or 'batch'; got {norm!r}")
        self.pyramid = resolution_pyramid(resolution, at_least=1)
        check_widths(widths, self.pyramid.num_doublings, resolution)
        self.channels, self.num_classes = channels, num_classes
        self.mbstd_group_size = mbstd_group_size
        self.uses_batch_statistics = norm == "batch" or mbstd_group_size > 0
        outputs = tuple(reversed(widths))
        layers = downsample_stage(channels, outputs[0], batch_norm=False)
        for before, width in itertools.pairwise(outputs):
            layers += downsample_stage(before, width, norm == "batch")
        self.body = nn.Sequential(*layers)
        wide = (widths[0] + (mbstd_group_size > 0)) * math.prod(self.pyramid.start)
        self.head = nn.Linear(wide, 1, bias=False)  # a relativistic loss has no gradient for a bias
        self.label = None if num_classes is None else nn.Embedding(num_classes, wide)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=DCGAN_STD)
        if norm == "spectral":
            apply_spectral_norm(self)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the input (B, 16 widths[0] or more) of the last linear map; labels are unused."""
        check_images(x, self.channels, self.pyramid.size)
        h = self.body(channels_last(self.pyramid.pad(x)))  # (B, widths[0], 4, 4), or more
        return (
            minibatch_stddev(h, self.mbstd_group_size) if self.mbstd_group_size > 0 else h
        ).flatten(1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), labels (B,) -> logits (B,)."""
        check_labels(condition, self.num_classes, len(x))
        h = self.features(x)  # (B, 16 widths[0], or more)
        logits = in_float32(self.head, h).squeeze(1)
        return logits if self.label is None else logits + (h * self.label(condition)).sum(1)


DCGAN_STD = 0.02  # of all initial weights (Radford et al. 2016, section 3)


@component
class DCGANGenerator(nn.Module):
    """The generator of DCGAN: transposed convolutions with stride 2, batch norm, ReLU, tanh.

    Kernels are 4x4, which covers every output pixel equally often (the paper has 5x5).

    Args:
        resolution: height and width in pixels, or both; the pyramid has k >= 1 doublings.
        channels: 1 grayscale, 3 color.
        widths: channels of each stage, the lowest resolution first: k.
        norm: "batch" or "none".
        latent_dim: length of z ~ N(0, I); a label adds an embedding of the same length.
        num_classes: number of classes; None for a generator without labels.

    Raises ValueError for inconsistent sizes and for an unknown norm.
    Source: Radford et al. 2016 (DCGAN), section 3.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        norm: str = "batch",
        latent_dim: int = 64,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f"norm must be 'batch' or 'none'; got {norm!r}")
        self.pyramid = resolution_pyramid(resolution, at_least=1)
        check_widths(widths, self.pyramid.num_doublings, resolution)
        check_latent_dim(latent_dim)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.label = None if num_classes is None else label_embedding(num_classes, latent_dim)
        inputs = latent_dim * (1 if num_classes is None else 2)
        layers: list[nn.Module] = []
        for stage, (before, width) in enumerate(zip((inputs, *widths), widths, strict=False)):
            layers += upsample_stage(
                before, width, norm, start=None if stage else self.pyramid.start
            )
        self.body = nn.Sequential(*layers)
        self.to_image = nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1)
        for layer in (*self.body, self.to_image):
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=DCGAN_STD)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Sample z ~ N(0, I): (n, Z), on the CPU."""
        return torch.randn(n, self.latent_dim, generator=rng)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, Z), labels (B,) -> (B, C, H, W) in [-1, 1]."""
        return self._synthesize(
            concat_label_embedding(latent, condition, self.label, self.num_classes)
        )

    def interpolate_condition(self, latent: Tensor, start: Tensor, end: Tensor, t: float) -> Tensor:
        """Generate (B, C, H, W) at fraction `t` between two labels; see `interpolate_labels`."""
        return self._synthesize(interpolate_labels(latent, start, end, t, self.label))

    def _synthesize(self, z: Tensor) -> Tensor:
        """(B, Z) or, with the label's embedding, (B, 2 Z) -> (B, C, H, W)."""
        h = channels_last(z[:, :, None, None])  # (B, Z, 1, 1)
        return self.pyramid.crop(self.to_image(self.body(h))).tanh()

    def example_condition(self, n: int) -> Tensor | None:
        """Return labels (n,) of the first class; None without classes."""
        return None if self.num_classes is None else torch.zeros(n, dtype=torch.int64)

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Return the latent at fraction `t` of the arc from `a` to `b`; see `slerp`."""
        return slerp(a, b, t)
