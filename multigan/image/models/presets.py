"""Generator and discriminator pairs by name: families of any size, and presets of R3GAN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from multigan.core.recipe import Schedule
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import resolution_pyramid, stage_widths
from multigan.image.models.r3gan import R3GANDiscriminator, R3GANGenerator
from multigan.image.spec import ImageSpec

NetworkPair = tuple[Any, Any]  # a generator and its discriminator


class Preset(NamedTuple):
    """Sizes of an R3GAN pair and its training hyperparameters.

    Learning rate, gamma, beta2, the EMA half-life and the augmentation probability follow cosines
    over the first `burn_in` of the run (engine/schedules.py): from 2e-4 to `final_lr_ratio` of it,
    gamma to a tenth, .9 to .99, 0 to `ema_halflife_samples`, 0 to `augment_p`.
    """

    resolution: int  # pixels a side
    widths: tuple[int, ...]  # channels of each stage, the lowest resolution first
    blocks: int  # residual blocks per stage
    group_size: int  # channels per group of the 3x3 convolutions
    bf16_stages: int  # of the highest resolution, on a GPU
    batch_size: int
    burn_in: float  # fraction of the run
    steps: int
    gamma: float  # at the start
    ema_halflife_samples: int
    augment_p: float  # at the end
    final_lr_ratio: float = 0.25  # of the learning rate, after the burn-in; 1: constant

    def build(self, spec: ImageSpec) -> NetworkPair:
        """Build the generator and the discriminator for the channels and classes of `spec`.

        Raises ValueError for images of another size.
        """
        if spec.resolution != self.resolution:
            raise ValueError(
                f"images must have {self.resolution} pixels a side for this preset; "
                f"got {spec.resolution}"
            )
        num_classes, bf16 = spec.num_classes or None, self.bf16_stages
        sizes = (self.resolution, spec.channels, self.widths, self.blocks, self.group_size)
        return (
            R3GANGenerator(*sizes, num_classes=num_classes, bf16_stages=bf16),
            R3GANDiscriminator(*sizes, num_classes=num_classes, bf16_stages=bf16),
        )

    def lr_schedule(self, lr: float = 2e-4) -> Schedule:
        """Return the learning rate of both networks, `lr` at the start."""
        return Schedule(lr, lr * self.final_lr_ratio, self.burn_in)


# Published: Huang et al. 2024 (R3GAN), appendix, and the configuration of its code. The sizes of
# stacked-mnist (three grayscale digits as channels, without classes) follow from its number of
# parameters. `mini-*` are ours, for two CPU cores.
PRESETS: dict[str, Preset] = {
    "mini-8": Preset(8, (64, 64), 1, 16, 0, 64, 0.1, 15_000, 0.1, 5000, 0.0),
    "mini-16": Preset(16, (96, 64, 48), 1, 16, 0, 64, 0.1, 15_000, 0.3, 5000, 0.0),
    "mini-32": Preset(32, (128, 96, 64, 48), 1, 16, 0, 64, 0.1, 15_000, 1.0, 5000, 0.0),
    "stacked-mnist": Preset(
        32, (768,) * 4, 2, 16, 3, 512, 0.2, 19_531, 1.0, 500_000, 0.0, final_lr_ratio=1.0
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
    """Return the preset called `name`; ValueError for an unknown name."""
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {name!r}")
    return PRESETS[name]


def build_pair(
    network: str,
    spec: ImageSpec,
    width: int,
    latent_dim: int = 64,
    norm: str = "none",
    mbstd_group_size: int = 0,
) -> NetworkPair:
    """Build a generator and a discriminator of the family `network` for images of any size.

    Raises ValueError for an unknown family, and for an option that it does not have.
    """
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}; got {network!r}")
    return NETWORKS[network](spec, width, latent_dim, norm, mbstd_group_size)


def _dcgan(spec: ImageSpec, width: int, latent_dim: int, norm: str, group: int) -> NetworkPair:
    """Build DCGAN with `width` channels at half the resolution, doubled at each lower stage."""
    size, num_classes = spec.resolution, spec.num_classes or None
    sizes = (size, spec.channels, stage_widths(width, size))
    generator = DCGANGenerator(*sizes, latent_dim=latent_dim, num_classes=num_classes)
    return generator, DCGANDiscriminator(*sizes, norm, num_classes, group)


def _r3gan(spec: ImageSpec, width: int, latent_dim: int, norm: str, group: int) -> NetworkPair:
    """Build R3GAN with `width` more channels at each lower stage, one residual block in each."""
    if norm != "none":
        raise ValueError(
            f"norm must be none for r3gan, whose branches start at weights of 0; got {norm!r}"
        )
    size, num_classes = spec.resolution, spec.num_classes or None
    stages = resolution_pyramid(size).num_doublings + 1
    widths = [width * (stages - stage) for stage in range(stages)]
    sizes = (size, spec.channels, widths, 1, math.gcd(16, 2 * width))
    generator = R3GANGenerator(*sizes, latent_dim=latent_dim, num_classes=num_classes)
    return generator, R3GANDiscriminator(*sizes, num_classes=num_classes, mbstd_group_size=group)


NETWORKS: dict[str, Callable[[ImageSpec, int, int, str, int], NetworkPair]] = {
    "dcgan": _dcgan,
    "r3gan": _r3gan,
}
