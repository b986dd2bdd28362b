"""Layers of the image networks: filters, residual blocks, initialization, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

MIN_RESOLUTION = 4  # pixels a side of the lowest stage, or a few more
LEAKY_SLOPE = 0.2  # of the leaky ReLU below zero
# Preserves the variance through the leaky ReLU (He et al. 2015, eq. 14).
LEAKY_RELU_GAIN = math.sqrt(2 / (1 + LEAKY_SLOPE**2))
FLOAT32_ONLY = ("cpu",)  # devices whose stages stay in float32: many CPUs emulate bf16
EPS = 1e-8  # under the root, whose gradient at zero is not finite


class ResolutionPyramid(NamedTuple):
    """The resolutions of a network, from the lowest stage by doublings to the image size."""

    num_doublings: int
    start: tuple[int, int]  # height and width of the lowest stage
    size: tuple[int, int]  # of the image

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Pixels beyond the image after the last doubling: left, right, top, bottom."""
        high, wide = (
            s * 2**self.num_doublings - p for s, p in zip(self.start, self.size, strict=True)
        )
        return (wide // 2, wide - wide // 2, high // 2, high - high // 2)

    def crop(self, x: Tensor) -> Tensor:
        """Crop the output of the last doubling to the image (B, C, H, W)."""
        left, _, top, _ = self.padding
        return x[:, :, top : top + self.size[0], left : left + self.size[1]]

    def pad(self, x: Tensor) -> Tensor:
        """Pad the image with 0 to a size that halves down to `start`."""
        return functional.pad(x, self.padding) if any(self.padding) else x


def resolution_pyramid(resolution: int | Sequence[int], at_least: int = 0) -> ResolutionPyramid:
    """Compute the stages of images of `resolution` pixels a side, or (height, width).

    The shorter side of the lowest stage is 4 to 7 pixels, and 4 if the side is 4 * 2^k.
    Raises ValueError for a resolution too low for `at_least` doublings.
    """
    size = (resolution,) * 2 if isinstance(resolution, int) else tuple(resolution)
    smallest = MIN_RESOLUTION * 2**at_least
    if len(size) != 2 or min(size) < smallest:
        raise ValueError(f"resolution must be {smallest} pixels or more a side; got {resolution}")
    doublings = int(math.log2(min(size) / MIN_RESOLUTION))
    height, width = (math.ceil(side / 2**doublings) for side in size)
    return ResolutionPyramid(doublings, (height, width), size)


def stage_widths(width: int, resolution: int | Sequence[int]) -> list[int]:
    """Return the channels of each stage, lowest first; `width` is that before the last doubling."""
    return [
        width * 2**stage
        for stage in reversed(range(resolution_pyramid(resolution, 1).num_doublings))
    ]


def channels_last(x: Tensor) -> Tensor:
    """Return x (B, C, H, W) with the channels last in memory on a CPU, else x itself.

    Convolutions keep that order, and are faster in it on a CPU; weights stay as they are. An axis
    of size 1 has its canonical stride, without which convolutions fall back to the default order.
    """
    if x.device.type != "cpu":
        return x
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).flatten().view(n, h, w, c).permute(0, 3, 1, 2)


def check_widths(widths: Sequence[int], stages: int, resolution: int | Sequence[int]) -> None:
    """Raise ValueError unless there is one positive width for each of the `stages`."""
    if len(widths) != stages or min(widths, default=0) < 1:
        raise ValueError(
            f"widths must be {stages} numbers of 1 or more for resolution {resolution}, the lowest "
            f"stage first; got {tuple(widths)}"
        )


def check_images(x: Tensor, channels: int, size: tuple[int, int]) -> None:
    """Raise ValueError unless `x` is (B, channels, *size)."""
    if x.shape[1:] != (channels, *size):
        expected = f"(B, {channels}, {size[0]}, {size[1]})"
        raise ValueError(f"images must have shape {expected}; got {tuple(x.shape)}")


def check_labels(condition: Tensor | None, num_classes: int | None, n: int) -> None:
    """Raise ValueError unless `condition` is None without classes, else int64 labels (n,).

    The range is not checked, which would synchronize with a GPU.
    """
    if num_classes is None:
        if condition is not None:
            raise ValueError("condition must be None for a network without classes; got labels")
        return
    if not isinstance(condition, Tensor):
        got = type(condition).__name__
        raise ValueError(f"condition must be int64 labels (B,) below {num_classes}; got {got}")
    if condition.dtype != torch.int64 or condition.shape != (n,):
        got = f"{condition.dtype} {tuple(condition.shape)}"
        raise ValueError(f"condition must be torch.int64 ({n},); got {got}")


def check_latent_dim(latent_dim: int) -> None:
    """Raise ValueError for a length of the latent below 1."""
    if latent_dim < 1:
        raise ValueError(f"latent_dim must be 1 or more; got {latent_dim}")


def fan_in_normal_(weight: Tensor, gain: float = 1.0, fan_in: int | None = None) -> Tensor:
    """Fill `weight` (out, in, ...) from N(0, (gain / sqrt(fan_in))^2) and return it.

    `fan_in` is in / groups * kernel area unless given.
    """
    fan_in = weight[0].numel() if fan_in is None else fan_in
    return nn.init.normal_(weight, std=gain / math.sqrt(fan_in))


def convolution(
    inputs: int, outputs: int, kernel: int = 1, groups: int = 1, bias: bool = False, gain: float = 1
) -> nn.Conv2d:
    """Build a convolution, `fan_in_normal_` weights and biases 0; odd kernels keep the size."""
    padding = kernel // 2 if kernel % 2 else 0
    layer = Convolution(inputs, outputs, kernel, padding=padding, groups=groups, bias=bias)
    fan_in_normal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Convolution(nn.Conv2d):
    """A convolution in the dtype of its input: the weights are cast at each call."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), of the same dtype."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return self._conv_forward(x, self.weight.to(x.dtype), bias)


class CastDtype(nn.Module):
    """A cast to `dtype` in training mode; the identity in eval() and on FLOAT32_ONLY devices.

    Samples and evaluations are then float32 everywhere, and equal on a CPU and a GPU.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Cast x."""
        unchanged = not self.training or x.device.type in FLOAT32_ONLY
        return x if unchanged else x.to(self.dtype)


def check_bf16_stages(bf16_stages: int, stages: int) -> None:
    """Raise ValueError unless at least the lowest of the `stages` stays in float32."""
    if not 0 <= bf16_stages < stages:
        raise ValueError(
            f"bf16_stages must be 0 to {stages - 1} of {stages} stages; got {bf16_stages}"
        )


def minibatch_stddev(h: Tensor, group: int) -> Tensor:
    """Append a constant channel with the mean standard deviation of features over a group.

    The group size is the largest up to `group` that divides the batch.
    (B, C, H, W) -> (B, C + 1, H, W).

    Source: Karras et al. 2018 (progressive growing), section 3.
    """
    n = len(h)
    members = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    groups = h.unflatten(0, (members, n // members))  # (members, groups, C, H, W)
    variance = groups.var(0, unbiased=False)
    std = (variance + EPS).sqrt().mean((1, 2, 3))  # (groups,)
    column = std.repeat(members)[:, None, None, None].expand(-1, 1, *h.shape[2:])
    return torch.cat([h, column], dim=1)


def global_depthwise_conv(channels: int, size: tuple[int, int]) -> nn.Conv2d:
    """Build a depthwise convolution over the whole image: (B, C, *size) -> (B, C, 1, 1)."""
    layer = nn.Conv2d(channels, channels, size, groups=channels, bias=False)
    fan_in_normal_(layer.weight)
    return layer


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Build a bias-free linear map that preserves the variance."""
    layer = nn.Linear(inputs, outputs, bias=False)
    fan_in_normal_(layer.weight)
    return layer


def label_embedding(num_classes: int, width: int, gain: float = 1.0) -> nn.Embedding:
    """Build an embedding: a bias-free linear map of the one-hot label (fan-in `num_classes`)."""
    layer = nn.Embedding(num_classes, width)
    fan_in_normal_(layer.weight, gain, fan_in=num_classes)
    return layer


class ResidualBlock(nn.Module):
    """x + W3 lrelu(W2 lrelu(W1 x + b1) + b2): the identity at initialization, no normalization.

    W1 is 1x1 (C -> 2C), W2 3x3 in groups of `group_size` channels, W3 1x1 (2C -> C). W3 starts at
    zero, the biases too; the scale of W1 and W2 falls with the number of blocks in the network.

    Source: Huang et al. 2024 (R3GAN), section 3, Config E; initialization of Zhang et al. 2019
    (Fixup), section 3: exponent -1/(2m - 2) for m = 3 layers per block.
    """

    def __init__(self, channels: int, group_size: int, blocks_in_network: int) -> None:
        super().__init__()
        inner = 2 * channels
        if group_size < 1 or inner % group_size:
            raise ValueError(f"group_size must divide 2 x width = {inner}; got {group_size}")
        gain = LEAKY_RELU_GAIN * blocks_in_network ** (-1 / 4)
        groups = inner // group_size
        self.expand = convolution(channels, inner, bias=True, gain=gain)
        self.spatial = convolution(inner, inner, 3, groups, bias=True, gain=gain)
        self.project = convolution(inner, channels)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        h = leaky_relu(self.expand(x), LEAKY_SLOPE)  # (B, 2C, H, W)
        h = leaky_relu(self.spatial(h), LEAKY_SLOPE)
        return x + self.project(h)


class Downsample(nn.Module):
    """Downsampling by 2 after the low-pass filter [1, 3, 3, 1] / 8, gain 1, zeros outside.

    One depthwise convolution: on a CPU, backward included, it is faster than two convolutions along
    the axes (x1.3) and than one convolution over folded channels (x6).

    Source: Zhang 2019 (anti-aliased downsampling); Karras et al. 2020 (StyleGAN2), appendix B.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("kernel", binomial_filter(), persistent=False)  # (4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
        kernel = self.kernel.to(x.dtype).expand(self.channels, 1, -1, -1)
        return conv2d(x, kernel, stride=2, padding=1, groups=self.channels)


class Upsample(nn.Module):
    """Upsampling by 2: zeros in between, then the low-pass filter [1, 3, 3, 1] / 8 with gain 4.

    A constant stays constant, except at a border of one pixel (zeros outside).
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("kernel", 4 * binomial_filter(), persistent=False)  # (4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        kernel = self.kernel.to(x.dtype).expand(self.channels, 1, -1, -1)
        return conv_transpose2d(x, kernel, stride=2, padding=1, groups=self.channels)


def binomial_filter() -> Tensor:
    """Return the separable binomial filter [1, 3, 3, 1] / 8 in two dimensions: (4, 4), sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(taps, taps)
