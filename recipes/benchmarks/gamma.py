"""Is the automatic gamma as good as a searched one? Four data sets, four gammas 4 apart, and auto.

    multigan train benchmarks/gamma --data ring --gamma auto    one row
    python -m tests.benchmarks.queue gamma                       every row with each seed
    python -m tests.benchmarks.queue --table gamma               mean and spread

Short runs of the default networks, 20 to 79 CPU seconds each, one thread of a 2-core x86 machine.
Seed 0, gamma .02, .08, .32, 1.28: Frechet distance of the digits .97, .91, .70, .63, of MNIST .81,
.65, .55, .58; total variation of the ring .103, .068, .052, .064, of the grid
.245, .143, .127, .100. See docs/benchmarks/gamma.md.
MNIST are its 10,000 test digits, in a folder called mnist.
"""

from multigan.core.recipe import Recipe, Schedule, read_gamma
from multigan.image.datasets.images import load_images
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import stage_widths
from multigan.points.dataset import GaussianMixture
from multigan.points.mixtures import MIXTURES
from multigan.points.models import MLPDiscriminator, MLPGenerator

TINY = {"data": "ring", "steps": 20, "batch_size": 32, "width": 16}
ROWS = {
    "digits_0.02": {"gamma": "0.02"},
    "digits_0.08": {"gamma": "0.08"},
    "digits_0.32": {"gamma": "0.32"},
    "digits_1.28": {"gamma": "1.28"},
    "digits_auto": {},
    "ring_0.02": {"data": "ring", "steps": 1500, "gamma": "0.02"},
    "ring_0.08": {"data": "ring", "steps": 1500, "gamma": "0.08"},
    "ring_0.32": {"data": "ring", "steps": 1500, "gamma": "0.32"},
    "ring_1.28": {"data": "ring", "steps": 1500, "gamma": "1.28"},
    "ring_auto": {"data": "ring", "steps": 1500},
    "grid_0.02": {"data": "grid", "steps": 3000, "gamma": "0.02"},
    "grid_0.08": {"data": "grid", "steps": 3000, "gamma": "0.08"},
    "grid_0.32": {"data": "grid", "steps": 3000, "gamma": "0.32"},
    "grid_1.28": {"data": "grid", "steps": 3000, "gamma": "1.28"},
    "grid_auto": {"data": "grid", "steps": 3000},
    "mnist_0.02": {"data": "mnist", "gamma": "0.02"},
    "mnist_0.08": {"data": "mnist", "gamma": "0.08"},
    "mnist_0.32": {"data": "mnist", "gamma": "0.32"},
    "mnist_1.28": {"data": "mnist", "gamma": "1.28"},
    "mnist_auto": {"data": "mnist"},
}


def recipe(
    *,
    data: str = "digits",
    gamma: str = "auto",
    steps: int = 500,
    batch_size: int = 64,
    width: int = 32,
) -> Recipe:
    """Points of a mixture, or images at 16x16, with the networks of their default recipes.

    data: ring or grid, digits, fashion-mnist, or a path
    gamma: weight of both gradient penalties at the start, or auto
    steps: updates of the generator
    batch_size: real samples in one update; four times as many points
    width: of the image networks; four times as much for points
    """
    if data in MIXTURES:
        mixture = GaussianMixture(data)
        pair = (MLPGenerator(width=4 * width, depth=4), MLPDiscriminator(4 * width, 3, 3))
        return _adversarial(mixture, pair, gamma, steps, 4 * batch_size, 2e-3, 10_000)
    images = load_images(data, resolution=16)
    domain, widths = images.domain, stage_widths(width, 16)
    num_classes = domain.num_classes or None
    g = DCGANGenerator(16, domain.channels, widths, num_classes=num_classes)
    d = DCGANDiscriminator(16, domain.channels, widths, num_classes=num_classes)
    return _adversarial(images.split("train"), (g, d), gamma, steps, batch_size, 3e-3, 5000)


def _adversarial(data, pair, gamma, steps, batch_size, lr, halflife) -> Recipe:
    """Recipe with the default objective: relativistic, R1 and R2, decaying learning rates."""
    weight = read_gamma(gamma)
    rates = dict.fromkeys(("generator_lr", "discriminator_lr"), Schedule(lr, 0.0))
    values = {"data": data, "steps": steps, "batch_size": batch_size} | rates
    values |= {"penalties": {"r1": weight, "r2": weight}, "burn_in": 0.2}
    return Recipe(generator=pair[0], discriminator=pair[1], ema_halflife_samples=halflife, **values)
