"""What the picture networks are built of: filters, residual blocks, initialisation, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, pad

MIN_RESOLUTION = 4  # pixels: every network here starts, or ends, at 4x4 or a little more
LEAKY_SLOPE = 0.2  # slope of the leaky ReLU below zero
LEAK_GAIN = math.sqrt(
    2 / (1 + LEAKY_SLOPE**2)
)  # keeps the variance through it (He et al. 2015, eq. 14)
FLOAT32_ONLY = ("cpu",)  # devices on which bf16 is many times slower
SPREAD_FLOOR = 1e-8  # under the root: its slope at zero is not a number


class ResolutionPyramid(NamedTuple):
    """How a picture grows: from its smallest stage by doublings to a little more than its size."""

    doublings: int
    start: tuple[int, int]  # height and width of the smallest stage
    size: tuple[int, int]  # of the picture

    @property
    def borders(self) -> tuple[int, int, int, int]:
        """Pixels beyond the picture after the last doubling: left, right, top, bottom."""
        high, wide = (s * 2**self.doublings - p for s, p in zip(self.start, self.size, strict=True))
        return (wide // 2, wide - wide // 2, high // 2, high - high // 2)

    def cut(self, x: Tensor) -> Tensor:
        """The picture (B, C, H, W) inside what the last doubling made."""
        left, _, top, _ = self.borders
        return x[:, :, top : top + self.size[0], left : left + self.size[1]]

    def extend(self, x: Tensor) -> Tensor:
        """The picture with its borders, filled with 0: what halves down to `start`."""
        return pad(x, self.borders) if any(self.borders) else x


def resolution_pyramid(resolution: int | Sequence[int], at_least: int = 0) -> ResolutionPyramid:
    """How a picture of `resolution` pixels a side, or (height, width), is reached from 4 and more.

    The shorter side of the smallest stage is 4 to 8 pixels, and 4 where the side is 4 * 2^k.
    Raises ValueError for a picture that is too small for `at_least` doublings.
    """
    size = (resolution,) * 2 if isinstance(resolution, int) else tuple(resolution)
    smallest = MIN_RESOLUTION * 2**at_least
    if len(size) != 2 or min(size) < smallest:
        raise ValueError(f"resolution is {resolution}; wanted {smallest} pixels or more a side")
    doublings = int(math.log2(min(size) / MIN_RESOLUTION))
    height, width = (math.ceil(side / 2**doublings) for side in size)
    return ResolutionPyramid(doublings, (height, width), size)


def stage_widths(width: int, resolution: int | Sequence[int]) -> list[int]:
    """Channels of each stage, the smallest first: `width` before the last doubling, then twice."""
    return [
        width * 2**stage for stage in reversed(range(resolution_pyramid(resolution, 1).doublings))
    ]


def check_widths(widths: Sequence[int], wanted: int, resolution: int | Sequence[int]) -> None:
    """Raise ValueError unless there is one positive width for each of the `wanted` stages."""
    if len(widths) != wanted or min(widths, default=0) < 1:
        raise ValueError(
            f"widths are {tuple(widths)}; resolution {resolution} wants {wanted} of 1 or more, "
            "the smallest stage first"
        )


def check_picture(x: Tensor, channels: int, size: tuple[int, int]) -> None:
    """Raise ValueError unless `x` is (B, channels, *size)."""
    if x.shape[1:] != (channels, *size):
        wanted = f"(B, {channels}, {size[0]}, {size[1]})"
        raise ValueError(f"pictures have shape {tuple(x.shape)}; wanted {wanted}")


def check_labels(condition: Tensor | None, classes: int | None, n: int) -> None:
    """Raise ValueError unless `condition` is what a network with `classes` expects.

    That is None without classes, else int64 labels (n,). Their range is not looked at: on a GPU
    every look would wait for the device.
    """
    if classes is None:
        if condition is not None:
            raise ValueError("this network was built without classes; wanted condition None")
        return
    if not isinstance(condition, Tensor):
        got = type(condition).__name__
        raise ValueError(f"condition is {got}; wanted int64 labels (B,) below {classes}")
    if condition.dtype != torch.int64 or condition.shape != (n,):
        got = f"{condition.dtype} {tuple(condition.shape)}"
        raise ValueError(f"condition is {got}; wanted torch.int64 ({n},)")


def fan_in_normal_(weight: Tensor, gain: float = 1.0, fan_in: int | None = None) -> Tensor:
    """Fill `weight` (out, in, ...) from N(0, (gain / sqrt(fan_in))^2) and return it.

    `fan_in` is what feeds one output, in / groups * kernel area, unless given.
    """
    fan_in = weight[0].numel() if fan_in is None else fan_in
    return nn.init.normal_(weight, std=gain / math.sqrt(fan_in))


def convolution(
    inputs: int, outputs: int, kernel: int = 1, groups: int = 1, bias: bool = False, gain: float = 1
) -> nn.Conv2d:
    """A convolution with weights from `scaled_normal_` and biases 0; odd kernels keep the size."""
    padding = kernel // 2 if kernel % 2 else 0
    layer = Convolution(inputs, outputs, kernel, padding=padding, groups=groups, bias=bias)
    fan_in_normal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Convolution(nn.Conv2d):
    """A convolution in the type of its input: its weights stay in theirs, cast at each call."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), of the same type."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return self._conv_forward(x, self.weight.to(x.dtype), bias)


class CastDtype(nn.Module):
    """From here on a network trains in `dtype`; in eval() and on FLOAT32_ONLY nothing changes.

    What is sampled and measured is then float32 everywhere, and of a CPU and a GPU the same.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """x, of another type."""
        plain = not self.training or x.device.type in FLOAT32_ONLY
        return x if plain else x.to(self.dtype)


def check_bf16_stages(bf16_stages: int, stages: int) -> None:
    """Raise ValueError unless at least the smallest of the `stages` stays in float32."""
    if not 0 <= bf16_stages < stages:
        raise ValueError(f"bf16_stages is {bf16_stages}; wanted 0 to {stages - 1}, of {stages}")


def minibatch_stddev(h: Tensor, group: int) -> Tensor:
    """One more channel: how much the samples of a group differ, the same number in all its cells.

    It is the standard deviation over the group of each feature at each place, averaged. A group has
    the most samples up to `group` that divide the batch. (B, C, H, W) -> (B, C + 1, H, W).

    Source: Karras et al. 2018 (progressive growing), section 3.
    """
    n = len(h)
    members = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    groups = h.unflatten(0, (members, n // members))  # (members, groups, C, H, W)
    variance = groups.var(0, unbiased=False)
    spread = (variance + SPREAD_FLOOR).sqrt().mean((1, 2, 3))  # (groups,)
    column = spread.repeat(members)[:, None, None, None].expand(-1, 1, *h.shape[2:])
    return torch.cat([h, column], dim=1)


def global_depthwise_conv(channels: int, size: tuple[int, int]) -> nn.Conv2d:
    """A depthwise convolution of a whole picture: (B, C, *size) -> (B, C, 1, 1)."""
    layer = nn.Conv2d(channels, channels, size, groups=channels, bias=False)
    fan_in_normal_(layer.weight)
    return layer


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A bias-free linear map that keeps the variance."""
    layer = nn.Linear(inputs, outputs, bias=False)
    fan_in_normal_(layer.weight)
    return layer


def label_embedding(classes: int, width: int, gain: float = 1.0) -> nn.Embedding:
    """A bias-free linear map of the one-hot label (fan-in `classes`), as a table."""
    layer = nn.Embedding(classes, width)
    fan_in_normal_(layer.weight, gain, fan_in=classes)
    return layer


class ResidualBlock(nn.Module):
    """x + W3 lrelu(W2 lrelu(W1 x + b1) + b2): the identity at the start, no normalisation.

    W1 is 1x1 (C -> 2C), W2 3x3 in groups of `group_size` channels, W3 1x1 (2C -> C). W3 starts at
    zero, the biases too; W1 and W2 shrink with the number of blocks in the network.

    Source: Huang et al. 2024 (R3GAN), section 3, Config E; initialisation of Zhang et al. 2019
    (Fixup), section 3: exponent -1/(2m - 2) for m = 3 layers per block.
    """

    def __init__(self, channels: int, group_size: int, blocks_in_network: int) -> None:
        super().__init__()
        inner = 2 * channels
        if group_size < 1 or inner % group_size:
            raise ValueError(f"group_size is {group_size}; wanted a divisor of 2 x width = {inner}")
        gain = LEAK_GAIN * blocks_in_network ** (-1 / 4)
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
    """Half the height and width behind the low-pass [1, 3, 3, 1] / 8, gain 1, zeros outside.

    A depthwise convolution: backward included it beats the same map as two convolutions along the
    axes (x1.3) or as one convolution over folded channels (x6) on a CPU.

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
    """Twice the height and width: zeros in between, then [1, 3, 3, 1] / 8 with gain 4.

    A constant stays constant, but for a border of one pixel (zeros outside).
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
    """The separable binomial filter [1, 3, 3, 1] / 8 in two dimensions: (4, 4), sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(taps, taps)
