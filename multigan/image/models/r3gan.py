"""The R3GAN generator and discriminator (Huang et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from multigan.core.interpolation import slerp
from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.image.models.conditioning import concat_label_embedding, interpolate_labels
from multigan.image.models.layers import (
    LEAKY_SLOPE,
    CastDtype,
    Downsample,
    ResidualBlock,
    Upsample,
    channels_last,
    check_bf16_stages,
    check_images,
    check_labels,
    check_latent_dim,
    check_widths,
    convolution,
    global_depthwise_conv,
    label_embedding,
    linear,
    minibatch_stddev,
    resolution_pyramid,
)


@component
class R3GANGenerator(nn.Module):
    """The residual generator of R3GAN: a learned 4x4 basis, scaled by z, upsampled in stages.

    The basis is larger for images that are not square, or not of 4 * 2^k pixels: see
    `resolution_pyramid`. No normalization, noise inputs or tanh: images are in about [-1, 1].

    Args:
        resolution: height and width in pixels, or both; the pyramid has k doublings.
        channels: 1 grayscale, 3 color.
        widths: channels of each stage, the lowest resolution first: k + 1.
        blocks: residual blocks per stage.
        group_size: channels per group of the 3x3 convolutions; divides twice each width.
        latent_dim: length of z ~ N(0, I); a label adds an embedding of the same length.
        num_classes: number of classes; None for a generator without labels.
        bf16_stages: number of high-resolution stages that train in bf16, except on a CPU.

    Raises ValueError for inconsistent sizes.
    Source: Huang et al. 2024 (R3GAN), section 3, Config E.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        blocks: int = 2,
        group_size: int = 16,
        latent_dim: int = 64,
        num_classes: int | None = None,
        bf16_stages: int = 0,
    ) -> None:
        super().__init__()
        self.pyramid = resolution_pyramid(resolution)
        check_widths(widths, self.pyramid.num_doublings + 1, resolution)
        check_bf16_stages(bf16_stages, len(widths))
        check_latent_dim(latent_dim)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.label = None if num_classes is None else label_embedding(num_classes, latent_dim)
        inputs = latent_dim * (1 if num_classes is None else 2)
        self.scale = linear(inputs, widths[0])
        self.basis = nn.Parameter(torch.randn(widths[0], *self.pyramid.start))
        layers: list[nn.Module] = []
        for stage, width in enumerate(widths):
            layers += [CastDtype(torch.bfloat16)] if stage == len(widths) - bf16_stages else []
            if stage > 0:
                before = widths[stage - 1]
                layers += [convolution(before, width)] if before != width else []
                layers += [Upsample(width)]
            depth = blocks * len(widths)
            layers += [ResidualBlock(width, group_size, depth) for _ in range(blocks)]
        layers += [CastDtype(torch.float32)] if bf16_stages else []
        self.body = nn.Sequential(*layers)
        self.to_image = convolution(widths[-1], channels)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Sample z ~ N(0, I): (n, Z), on the CPU."""
        return torch.randn(n, self.latent_dim, generator=rng)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, Z), labels (B,) -> (B, C, H, W)."""
        return self._synthesize(
            concat_label_embedding(latent, condition, self.label, self.num_classes)
        )

    def interpolate_condition(self, latent: Tensor, start: Tensor, end: Tensor, t: float) -> Tensor:
        """Generate (B, C, H, W) at fraction `t` between two labels; see `interpolate_labels`."""
        return self._synthesize(interpolate_labels(latent, start, end, t, self.label))

    def _synthesize(self, z: Tensor) -> Tensor:
        """(B, Z) or, with the label's embedding, (B, 2 Z) -> (B, C, H, W)."""
        h = self.basis * self.scale(z)[:, :, None, None]  # (B, C, 4, 4), or more
        return self.pyramid.crop(self.to_image(self.body(channels_last(h))))

    def example_condition(self, n: int) -> Tensor | None:
        """Return labels (n,) of the first class; None without classes."""
        return None if self.num_classes is None else torch.zeros(n, dtype=torch.int64)

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Return the latent at fraction `t` of the arc from `a` to `b`; see `slerp`."""
        return slerp(a, b, t)


def upsample_stage(
    inputs: int, outputs: int, norm: str, start: tuple[int, int] | None = None
) -> list[nn.Module]:
    """Build one stage of DCGAN: from 1x1 to `start` if given, else twice height and width."""
    kernel, stride, padding = (4, 2, 1) if start is None else (start, 1, 0)
    bias = norm == "none"  # batch norm has its own
    layer = nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, bias=bias)
    return [layer, *([] if bias else [nn.BatchNorm2d(outputs)]), nn.ReLU()]


@component
class R3GANDiscriminator(nn.Module):
    """The residual discriminator of R3GAN: its generator in reverse, without normalization.

    Conditioning by projection: the logit is the dot product of the label embedding with a linear
    map of the features.

    Args:
        resolution: height and width in pixels, or both; the pyramid has k doublings.
        channels: 1 grayscale, 3 color.
        widths: channels of each stage, the lowest resolution first (as in the generator): k + 1.
        blocks: residual blocks per stage.
        group_size: channels per group of the 3x3 convolutions; divides twice each width.
        num_classes: number of classes; None for a discriminator without labels.
        bf16_stages: number of high-resolution stages that train in bf16, except on a CPU.
        mbstd_group_size: group size of minibatch stddev; 0 disables it.

    Raises ValueError for inconsistent sizes.
    Source: Huang et al. 2024 (R3GAN), section 3, Config E.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        blocks: int = 2,
        group_size: int = 16,
        num_classes: int | None = None,
        bf16_stages: int = 0,
        mbstd_group_size: int = 0,
    ) -> None:
        super().__init__()
        self.pyramid, self.channels, self.num_classes = (
            resolution_pyramid(resolution),
            channels,
            num_classes,
        )
        check_widths(widths, self.pyramid.num_doublings + 1, resolution)
        check_bf16_stages(bf16_stages, len(widths))
        self.mbstd_group_size, self.uses_batch_statistics = mbstd_group_size, mbstd_group_size > 0
        depth = blocks * len(widths)
        layers: list[nn.Module] = [convolution(channels, widths[-1])]
        layers += [CastDtype(torch.bfloat16)] if bf16_stages else []
        for stage, width in reversed(list(enumerate(widths))):
            layers += [ResidualBlock(width, group_size, depth) for _ in range(blocks)]
            if stage > 0:
                after = widths[stage - 1]
                layers += [Downsample(width)]
                layers += [convolution(width, after)] if after != width else []
            layers += [CastDtype(torch.float32)] if len(widths) - stage == bf16_stages else []
        self.body = nn.Sequential(*layers)
        top = widths[0]
        inputs = top + self.uses_batch_statistics
        self.global_conv = global_depthwise_conv(inputs, self.pyramid.start)
        self.head = linear(inputs, 1 if num_classes is None else top)
        self.label = (
            None if num_classes is None else label_embedding(num_classes, top, gain=top**-0.5)
        )

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the input (B, widths[0] or one more) of the last linear map; labels are unused."""
        check_images(x, self.channels, self.pyramid.size)
        h = self.body(channels_last(self.pyramid.pad(x)))  # (B, widths[0], 4, 4), or more
        return self.global_conv(
            minibatch_stddev(h, self.mbstd_group_size) if self.uses_batch_statistics else h
        ).flatten(1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), labels (B,) -> logits (B,)."""
        check_labels(condition, self.num_classes, len(x))
        h = in_float32(self.head, self.features(x))  # (B, 1), or (B, widths[0]) with labels
        return h.squeeze(1) if self.label is None else (h * self.label(condition)).sum(1)


def downsample_stage(inputs: int, outputs: int, batch_norm: bool) -> list[nn.Module]:
    """Build one stage of DCGAN: half the height and width."""
    layer = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not batch_norm)
    return [layer, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.LeakyReLU(LEAKY_SLOPE)]


def apply_spectral_norm(network: nn.Module) -> None:
    """Divide every weight by its largest singular value: one power iteration per training pass."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            spectral_norm(layer)
