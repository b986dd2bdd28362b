"""Class-conditional digits at 16x16: the R3GAN loss on DCGAN networks of 0.2 M parameters.

    multigan train image
    multigan evaluate runs/image-0001

Time: 146 CPU s in one thread, evaluation and report included.
Result of `python -m tests.benchmarks.demo RUN`, seed 0 (in brackets held-out real digits):
accuracy .993, intra-class std ratio .92, coverage .97 (.97), Frechet .35 (.32; a Gaussian .48).
Try: `multigan train image --resolution 32` for larger digits (not measured).
"""

from typing import Literal

from multigan.core.recipe import Recipe, Schedule, read_gamma
from multigan.image.augmentation.pipelines import build_augment
from multigan.image.datasets.images import load_images
from multigan.image.models.presets import build_pair

TINY = {"steps": 20, "batch_size": 16, "width": 8,
        "lr": 3e-3, "generator_lr_ratio": 1.0, "gamma": "0.3"}  # fmt: skip


def recipe(
    *,
    data: str = "digits",
    resolution: int = 16,
    aspect: float = 1.0,
    horizontal_flip: bool = False,
    background: str = "white",
    alpha: bool = False,
    stretch: bool = False,
    all_frames: bool = False,
    in_memory: Literal["auto", "yes", "no"] = "auto",
    unconditional: bool = False,
    augment: Literal["none", "diffaugment", "scheduled", "ada"] = "none",
    augment_p: float = 0.3,
    steps: int = 5000,
    batch_size: int = 64,
    network: Literal["dcgan", "r3gan"] = "dcgan",
    width: int = 32,
    norm: Literal["none", "spectral", "batch"] = "none",
    mbstd_group_size: int = 0,
    latent_dim: int = 64,
    lr: float | None = None,
    generator_lr_ratio: float = 0.25,
    warmup: float = 0.05,
    loss: str = "relativistic",
    gamma: str = "auto",
    penalty_interval: int = 4,
    burn_in: float = 0.0,
    ema_halflife_samples: int = 20_000,
) -> Recipe:
    """Images, class-conditional if the data have labels and `unconditional` is not set.

    data: digits, fashion-mnist, or a path: a folder, zip, arrays or tables; subfolders are classes
    resolution: height in pixels, 8 or more
    aspect: width over height; images of another aspect ratio are center-cropped
    horizontal_flip: add the horizontally flipped images to the training split
    background: color below transparent pixels: white, black or #rrggbb
    alpha: train on transparency too, as a fourth channel; samples are RGBA
    stretch: scale all values by one factor, so that the largest of the set becomes 255
    all_frames: read every frame of animations and every page, not the first one only
    in_memory: keep all images in memory; no: read them from a cached file; auto: by their size
    unconditional: leave the labels of the data out; samples have no class
    augment: before the discriminator, for small datasets
    augment_p: probability of each operation: final one of scheduled, maximum of ada
    steps: updates of the generator
    batch_size: real images in one update
    network: the pair of networks
    width: channels of dcgan at half the resolution, doubled at each lower stage; of r3gan at full
    norm: of the discriminator of dcgan; batch needs gamma 0
    mbstd_group_size: group size of minibatch stddev, such as 4 (with gamma 0); 0: none
    latent_dim: length of the latent
    lr: peak learning rate of D, falling to zero; by default 2e-3, above 32 pixels 1e-3
    generator_lr_ratio: learning rate of the generator over that of the discriminator
    warmup: fraction of the run in which both learning rates rise from 0
    loss: adversarial loss, a name of multigan.engine.losses.LOSSES
    gamma: weight of both penalties, a tenth after burn_in; or auto: it follows the loss of D
    penalty_interval: updates of D from one with penalties to the next; these weigh as much more
    burn_in: fraction of the run in which gamma falls to a tenth unless it is auto, Adam's beta2
        rises from .9 to .99 and the EMA half-life from 0; 0: constant
    ema_halflife_samples: half-life of the averaged generator, in training images
    """
    images = load_images(
        data, resolution=resolution, aspect=aspect, horizontal_flip=horizontal_flip,
        background=background, alpha=alpha, stretch=stretch, all_frames=all_frames,
        in_memory=in_memory, unconditional=unconditional,
    )  # fmt: skip
    rate = lr if lr is not None else 2e-3 if resolution <= 32 else 1e-3
    pair = build_pair(network, images.domain, width, latent_dim, norm, mbstd_group_size)
    return Recipe(
        data=images.split("train"), generator=pair[0], discriminator=pair[1],
        steps=steps, batch_size=batch_size, loss=loss,
        penalties=dict.fromkeys(("r1", "r2"), read_gamma(gamma)),
        penalty_interval=penalty_interval, burn_in=burn_in,
        generator_lr=Schedule(generator_lr_ratio * rate, 0.0, warmup=warmup),
        discriminator_lr=Schedule(rate, 0.0, warmup=warmup),
        ema_halflife_samples=ema_halflife_samples,
        augment=build_augment(augment, augment_p),
    )  # fmt: skip
