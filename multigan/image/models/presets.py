"""Pairs of picture networks by name: families of any size, and R3GAN from 8x8 to the published."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from multigan.core.recipe import Schedule
from multigan.image.domain import ImageDomain
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import resolution_pyramid, stage_widths
from multigan.image.models.r3gan import R3GANDiscriminator, R3GANGenerator

NetworkPair = tuple[Any, Any]  # a generator and its discriminator


class Preset(NamedTuple):
    """Sizes of an R3GAN pair and the numbers that it is trained with.

    Learning rate, gamma, beta2 and the half-life of the average follow one cosine over the first
    `burn_in` of the run (engine/schedules.py), the chance of augmentation another one beside them:
    from 2e-4 to `lr_left` of it, gamma to its tenth, .9 to .99, 0 to `halflife`, 0 to `augment_p`.
    """

    resolution: int  # pixels a side
    widths: tuple[int, ...]  # channels of each stage, the smallest first
    blocks: int  # residual blocks per stage
    group_size: int  # channels per group of the 3x3 convolutions
    bf16_stages: int  # of the largest, on a GPU
    batch_size: int
    burn_in: float  # share of the run
    steps: int
    gamma: float  # at the start
    halflife: int  # of the average, in pictures
    augment_p: float  # at the end
    lr_left: float = 0.25  # of the learning rate, after the burn-in; 1 for a constant one

    def pair(self, domain: ImageDomain) -> NetworkPair:
        """The two networks, for the channels and classes of `domain`.

        Raises ValueError for pictures of another size.
        """
        if domain.resolution != self.resolution:
            size = domain.resolution
            raise ValueError(f"pictures of {size} pixels a side; the preset has {self.resolution}")
        classes, bf16 = len(domain.labels) or None, self.bf16_stages
        sizes = (self.resolution, domain.channels, self.widths, self.blocks, self.group_size)
        return (
            R3GANGenerator(*sizes, classes=classes, bf16_stages=bf16),
            R3GANDiscriminator(*sizes, classes=classes, bf16_stages=bf16),
        )

    def rate(self, lr: float = 2e-4) -> Schedule:
        """The learning rate of both networks, `lr` at the start."""
        return Schedule(lr, lr * self.lr_left, self.burn_in)


# The published ones: Huang et al. 2024 (R3GAN), appendix, and the configuration of its code; those
# of stacked-mnist (for stacks of digits, three grey pictures as channels, without classes) but for
# its batch and schedules follow from its number of parameters. `mini-*` are ours, for two CPU
# cores: a tenth of a run to settle.
PRESETS: dict[str, Preset] = {
    "mini-8": Preset(8, (64, 64), 1, 16, 0, 64, 0.1, 15_000, 0.1, 5000, 0.0),
    "mini-16": Preset(16, (96, 64, 48), 1, 16, 0, 64, 0.1, 15_000, 0.3, 5000, 0.0),
    "mini-32": Preset(32, (128, 96, 64, 48), 1, 16, 0, 64, 0.1, 15_000, 1.0, 5000, 0.0),
    "stacked-mnist": Preset(
        32, (768,) * 4, 2, 16, 3, 512, 0.2, 19_531, 1.0, 500_000, 0.0, lr_left=1.0
    ),
    "cifar-10": Preset(32, (768,) * 4, 2, 16, 3, 512, 0.08, 488_281, 0.05, 5_000_000, 0.55),
    "imagenet-32": Preset(32, (1536,) * 4, 2, 32, 3, 4096, 0.2, 244_141, 0.5, 50_000_000, 0.5),
    "ffhq-64": Preset(64, (768,) * 4 + (384,), 2, 16, 4, 256, 0.2, 390_625, 2.0, 500_000, 0.3),
    "imagenet-64": Preset(64, (1536,) * 5, 2, 32, 4, 4096, 0.2, 244_141, 1.0, 50_000_000, 0.4),
    "ffhq-256": Preset(
        256, (768,) * 4 + (384, 192, 96), 2, 16, 4, 256, 0.1, 781_250, 150.0, 500_000, 0.3
    ),
}


def get_preset(name: str) -> Preset:
    """The preset called `name`; ValueError listing the names for any other."""
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is unknown; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def build_pair(
    network: str,
    domain: ImageDomain,
    width: int,
    latent_dim: int = 64,
    norm: str = "none",
    stddev_group: int = 0,
) -> NetworkPair:
    """A generator and a discriminator of the family `network` for pictures of any size.

    Raises ValueError, listing the known ones, for an unknown family, and for what it cannot have.
    """
    if network not in NETWORKS:
        raise ValueError(f"network is {network!r}; known: {', '.join(NETWORKS)}")
    return NETWORKS[network](domain, width, latent_dim, norm, stddev_group)


def _dcgan(domain: ImageDomain, width: int, latent_dim: int, norm: str, group: int) -> NetworkPair:
    """Twice the channels at each stage below the one of `width`, at half the resolution."""
    size, classes = domain.resolution, len(domain.labels) or None
    sizes = (size, domain.channels, stage_widths(width, size))
    generator = DCGANGenerator(*sizes, latent_dim=latent_dim, classes=classes)
    return generator, DCGANDiscriminator(*sizes, norm, classes, group)


def _r3gan(domain: ImageDomain, width: int, latent_dim: int, norm: str, group: int) -> NetworkPair:
    """`width` more channels at each stage below the largest, one residual block in each."""
    if norm != "none":
        raise ValueError(f"norm is {norm!r}; r3gan has none: its branches start at weights of 0")
    size, classes = domain.resolution, len(domain.labels) or None
    stages = resolution_pyramid(size).doublings + 1
    widths = [width * (stages - stage) for stage in range(stages)]
    sizes = (size, domain.channels, widths, 1, math.gcd(16, 2 * width))
    generator = R3GANGenerator(*sizes, latent_dim=latent_dim, classes=classes)
    return generator, R3GANDiscriminator(*sizes, classes=classes, stddev_group=group)


NETWORKS: dict[str, Callable[[ImageDomain, int, int, str, int], NetworkPair]] = {
    "dcgan": _dcgan,
    "r3gan": _r3gan,
}
