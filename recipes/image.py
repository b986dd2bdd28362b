"""Handwritten digits at 16x16, class by class: the R3GAN game on a DCGAN pair of 0.2 M weights.

    multigan train image
    multigan evaluate runs/image-0001

Time: 185 s on 2 CPU cores (`make demo`), measuring included; 206 to 215 s of CPU in one thread.
Result of `python -m tests.benchmarks.demo RUN`, seeds 0, 1, 2 (in brackets other real digits): the
wished class .977 .982 .961, pixel spread within a class .94 .93 .98 of real, coverage .90 .97 .95
(.97), Frechet distance .43 .39 .38 (.32; a Gaussian per class, without a network: .43).
Try: `multigan train image --resolution 32` for larger digits (not measured).
"""

from multigan.core.auto_gamma import resolve_gamma
from multigan.core.recipe import Recipe, Schedule
from multigan.image.augmentation.pipelines import build_augment
from multigan.image.datasets.images import load_images
from multigan.image.models.presets import build_pair

TINY = {"steps": 20, "batch_size": 16, "width": 8}


def recipe(
    *,
    data: str = "digits",
    resolution: int = 16,
    aspect: float = 1.0,
    mirrored: bool = False,
    augment: str = "none",
    augment_p: float = 0.3,
    steps: int = 3000,
    batch_size: int = 64,
    network: str = "dcgan",
    width: int = 32,
    norm: str = "none",
    stddev_group: int = 0,
    latent_size: int = 64,
    lr: float = 3e-3,
    loss: str = "relativistic",
    gamma: str = "auto",
    ema_halflife_samples: int = 5000,
) -> Recipe:
    """Pictures with labels, if the data has them.

    data: digits, fashion-mnist, or a path: a folder, a zip, arrays; sub-folders are classes
    resolution: height in pixels, 8 or more
    aspect: width over height; what is not of this shape is cut down around its centre
    mirrored: also learn every picture with left and right exchanged
    augment: in front of the discriminator: none, diff, pipeline or adaptive, for small sets
    augment_p: chance of each change that pipeline reaches and adaptive never exceeds
    steps: updates of the generator
    batch_size: real pictures in one update
    network: dcgan or r3gan
    width: channels of dcgan at half the resolution, doubling below; of r3gan at the full one
    norm: of dcgan's discriminator: none, spectral or batch (which takes no penalties: gamma 0)
    stddev_group: samples whose spread the discriminator sees (4, say; gamma 0); 0: it does not
    latent_size: numbers in one latent
    lr: learning rate of both networks at the start; it falls to zero along a cosine
    loss: the game, a name of multigan.engine.losses.LOSSES
    gamma: weight of both penalties at the start, a tenth after the burn-in; or auto
    ema_halflife_samples: half-life of the averaged generator that is sampled, in pictures seen
    """
    pictures = load_images(data, resolution=resolution, aspect=aspect, mirrored=mirrored)
    pair = build_pair(network, pictures.domain, width, latent_size, norm, stddev_group)
    train, falling = pictures.split("train"), Schedule(lr, 0.0)
    weight = resolve_gamma(gamma, train)
    return Recipe(
        data=train,
        generator=pair[0],
        discriminator=pair[1],
        steps=steps,
        batch_size=batch_size,
        loss=loss,
        penalties={"r1": weight, "r2": weight},
        generator_lr=falling,
        discriminator_lr=falling,
        ema_halflife_samples=ema_halflife_samples,
        augment=build_augment(augment, augment_p),
    )
