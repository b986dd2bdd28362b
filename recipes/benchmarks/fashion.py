"""Class-conditional Fashion-MNIST at 32 x 32: the loss of R3GAN against DCGAN in equal time.

    multigan train benchmarks/fashion --objective dcgan  one row
    python -m tests.benchmarks.queue fashion             every row with three seeds
    python -m tests.benchmarks.queue --table fashion     mean and spread

70,000 images of Debian's dataset-fashion-mnist, or `--data FOLDER` with the four IDX files; split
70/15/15 by a hash (not as published); 1,000 images a row, features of a classifier of the training
split: not an FID. Seeds 0, 1, 2, one thread of an x86 machine, r3 887 and dcgan 1,100 CPU s: class
accuracy .877, .869, .893 (dcgan .877, .891, .880), Frechet .192, .164, .178 (dcgan .358, .352,
.278; held out .126): r3 over dcgan .54, .47, .64. With equal rates of both r3 networks the logits
do not separate (README, "Why is my GAN unstable?"), and trials of 1,000 steps are equal.
"""

from typing import Literal

from multigan.core.recipe import Recipe, Schedule
from multigan.image.datasets.images import load_images
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import stage_widths

TINY = {"data": "digits", "resolution": 8, "steps": 4, "batch_size": 8, "width": 4}
ROWS = {"r3": {}, "dcgan": {"objective": "dcgan", "steps": 8800}}


def recipe(
    *,
    data: str = "fashion-mnist",
    resolution: int = 32,
    objective: Literal["r3", "dcgan", "dcgan-tutorial"] = "r3",
    steps: int = 4400,
    batch_size: int = 64,
    width: int = 32,
    lr: float = 5e-4,
    gamma: float = 1.0,
) -> Recipe:
    """Images of Fashion-MNIST.

    data: fashion-mnist if Debian's package is installed, or the path of labeled images
    resolution: height and width in pixels
    objective: r3 (relativistic, R1 and R2), dcgan (nonsaturating, norms and Adam of DCGAN), or
        dcgan-tutorial (the same without labels and without averaging, a latent of 100)
    steps: updates of the generator
    batch_size: real images in one update
    width: channels of the stage with half the resolution, doubled at each lower stage
    lr: of the r3 generator at the start, the discriminator has four times that; falls to zero
    gamma: of r3, weight of both gradient penalties at the start; a tenth after the burn-in
    """
    tutorial = objective == "dcgan-tutorial"
    images = load_images(data, resolution=resolution, unconditional=tutorial)
    num_classes, channels = images.domain.num_classes or None, images.domain.channels
    sizes = (resolution, channels, stage_widths(width, resolution))
    latent_dim = 100 if tutorial else 64
    rates = {"generator_lr": Schedule(lr, 0.0), "discriminator_lr": Schedule(4 * lr, 0.0)}
    r3 = {"penalties": {"r1": gamma, "r2": gamma}, "burn_in": 0.2, **rates}
    dcgan = {"loss": "nonsaturating", "beta1": 0.5, "beta2": 0.999}
    return Recipe(
        data=images.split("train"),
        generator=DCGANGenerator(*sizes, latent_dim=latent_dim, num_classes=num_classes),
        discriminator=DCGANDiscriminator(
            *sizes, norm="none" if objective == "r3" else "batch", num_classes=num_classes
        ),
        steps=steps,
        batch_size=batch_size,
        ema_halflife_samples=0 if tutorial else 10_000,
        **(r3 if objective == "r3" else dcgan),
    )
