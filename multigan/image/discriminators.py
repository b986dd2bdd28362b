"""Picture discriminators: (B, C, H, W), and labels (B,) if class-conditional, to logits (B,)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from multigan.contract import in_float32
from multigan.image.generators import DCGAN_STD
from multigan.image.layers import (
    LEAK,
    Cast,
    Downsample,
    ResidualBlock,
    check_bf16_stages,
    check_labels,
    check_picture,
    check_widths,
    collapse,
    convolution,
    growth,
    label_embedding,
    linear,
    with_spread,
)
from multigan.part import part


@part
class R3Discriminator(nn.Module):
    """The residual discriminator of R3GAN: its generator in reverse, without normalisation.

    A label enters at the end: the class's embedding, dotted with a linear map of the features.

    Args:
        resolution: height and width in pixels, or both: growth(resolution) doubles k times.
        channels: 1 grey, 3 colour.
        widths: channels of each stage, the smallest first (as in the generator): k + 1 of them.
        blocks: residual blocks per stage.
        group_size: channels per group of the 3x3 convolutions; divides twice each width.
        classes: number of classes; None for a discriminator without labels.
        bf16_stages: so many of the largest stages train in bf16, but on a CPU; the rest in float32.
        stddev_group: samples whose spread is shown to the last stage (0: it is not); couples them.

    Raises ValueError for sizes that do not fit each other.
    Source: Huang et al. 2024 (R3GAN), section 3, Config E.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        blocks: int = 2,
        group_size: int = 16,
        classes: int | None = None,
        bf16_stages: int = 0,
        stddev_group: int = 0,
    ) -> None:
        super().__init__()
        self.growth, self.channels, self.classes = growth(resolution), channels, classes
        check_widths(widths, self.growth.doublings + 1, resolution)
        check_bf16_stages(bf16_stages, len(widths))
        self.stddev_group, self.couples_batch = stddev_group, stddev_group > 0
        depth = blocks * len(widths)
        layers: list[nn.Module] = [convolution(channels, widths[-1])]
        layers += [Cast(torch.bfloat16)] if bf16_stages else []
        for stage, width in reversed(list(enumerate(widths))):
            layers += [ResidualBlock(width, group_size, depth) for _ in range(blocks)]
            if stage > 0:
                after = widths[stage - 1]
                layers += [Downsample(width)]
                layers += [convolution(width, after)] if after != width else []
            layers += [Cast(torch.float32)] if len(widths) - stage == bf16_stages else []
        self.body = nn.Sequential(*layers)
        top = widths[0]
        seen = top + self.couples_batch
        self.collapse = collapse(seen, self.growth.start)
        self.head = linear(seen, 1 if classes is None else top)
        self.label = None if classes is None else label_embedding(classes, top, gain=top**-0.5)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the last linear map sees: (B, widths[0] or one more); the labels play no part."""
        check_picture(x, self.channels, self.growth.size)
        h = self.body(self.growth.extend(x))  # (B, widths[0], 4, 4), or more
        return self.collapse(
            with_spread(h, self.stddev_group) if self.couples_batch else h
        ).flatten(1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), labels (B,) -> logits (B,)."""
        check_labels(condition, self.classes, len(x))
        h = in_float32(self.head, self.features(x))  # (B, 1), or (B, widths[0]) with labels
        return h.squeeze(1) if self.label is None else (h * self.label(condition)).sum(1)


@part
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
        self.growth = growth(resolution, at_least=1)
        check_widths(widths, self.growth.doublings, resolution)
        self.channels, self.classes = channels, classes
        self.stddev_group, self.couples_batch = stddev_group, norm == "batch" or stddev_group > 0
        outputs = tuple(reversed(widths))
        layers = shrink(channels, outputs[0], batch_norm=False)
        for before, width in itertools.pairwise(outputs):
            layers += shrink(before, width, norm == "batch")
        self.body = nn.Sequential(*layers)
        wide = (widths[0] + (stddev_group > 0)) * math.prod(self.growth.start)
        self.head = nn.Linear(wide, 1, bias=False)  # a relativistic loss could not move a bias
        self.label = None if classes is None else nn.Embedding(classes, wide)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=DCGAN_STD)
        if norm == "spectral":
            bound_slopes(self)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the last linear map sees: (B, 16 widths[0] or more); the labels play no part."""
        check_picture(x, self.channels, self.growth.size)
        h = self.body(self.growth.extend(x))  # (B, widths[0], 4, 4), or more
        return (with_spread(h, self.stddev_group) if self.stddev_group > 0 else h).flatten(1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), labels (B,) -> logits (B,)."""
        check_labels(condition, self.classes, len(x))
        h = self.features(x)  # (B, 16 widths[0], or more)
        logits = in_float32(self.head, h).squeeze(1)
        return logits if self.label is None else logits + (h * self.label(condition)).sum(1)


def shrink(inputs: int, outputs: int, batch_norm: bool) -> list[nn.Module]:
    """One stage of DCGAN: half the height and width."""
    layer = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not batch_norm)
    return [layer, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.LeakyReLU(LEAK)]


def bound_slopes(network: nn.Module) -> None:
    """Divide every weight by its largest singular value: one power iteration per training pass."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            spectral_norm(layer)
