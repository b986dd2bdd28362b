"""Fashion-MNIST at 32 x 32, class by class: R3GAN's game against DCGAN's in equal time.

    multigan train benchmarks/fashion --game dcgan             one row
    python -m tests.benchmarks.queue fashion                   every row with three seeds
    python -m tests.benchmarks.queue --table fashion           mean and spread

70,000 pictures of Debian's dataset-fashion-mnist, or `--data FOLDER` with the four IDX files; split
70/15/15 by a hash (not as published); 1,000 pictures a row, features of a classifier of the
training split: no FID. Seeds 0, 1, 2, one thread of an x86 machine, r3 887 and dcgan 1,100 CPU s:
class agreement .877, .869, .893 (dcgan .877, .891, .880), Frechet .192, .164, .178 (dcgan .358,
.352, .278; held out .126): r3 over dcgan .54, .47, .64. With equal rates of both r3 networks the
logits do not part (README, "Why is my GAN unstable?"), and trials of 1,000 steps end in a tie.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.image.datasets.images import load_images
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import stage_widths

TINY = {"data": "digits", "resolution": 8, "steps": 4, "batch_size": 8, "width": 4}
ROWS = {"r3": {}, "dcgan": {"game": "dcgan", "steps": 8800}}


def recipe(
    *,
    data: str = "fashion-mnist",
    resolution: int = 32,
    game: str = "r3",
    steps: int = 4400,
    batch_size: int = 64,
    width: int = 32,
    lr: float = 5e-4,
    gamma: float = 1.0,
) -> Recipe:
    """Pieces of clothing.

    data: fashion-mnist where Debian's package is installed, or the path of labelled pictures
    resolution: height and width in pixels
    game: r3 (relativistic, with R1 and R2) or dcgan (the textbook game, norms and Adam of DCGAN)
    steps: updates of the generator
    batch_size: real pictures in one update
    width: channels of the stage with half the resolution; they double at each stage below it
    lr: of r3's generator at the start; the discriminator's is four times that; both fall to zero
    gamma: of r3, weight of both gradient penalties at the start; a tenth of it after the burn-in
    """
    pictures = load_images(data, resolution=resolution)
    classes, channels = len(pictures.domain.labels), pictures.domain.channels
    widths = stage_widths(width, resolution)
    rates = {"generator_lr": Schedule(lr, 0.0), "discriminator_lr": Schedule(4 * lr, 0.0)}
    games = {
        "r3": {"penalties": {"r1": gamma, "r2": gamma}, **rates},
        "dcgan": {"loss": "nonsaturating", "beta1": 0.5, "beta2": 0.999},
    }
    norm = {"r3": "none", "dcgan": "batch"}[game]
    return Recipe(
        data=pictures.split("train"),
        generator=DCGANGenerator(resolution, channels, widths, classes=classes),
        discriminator=DCGANDiscriminator(resolution, channels, widths, norm=norm, classes=classes),
        steps=steps,
        batch_size=batch_size,
        ema_halflife_samples=10_000,
        **games[game],
    )
