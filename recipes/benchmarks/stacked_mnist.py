"""Stacked-MNIST-1000 of a subset of MNIST: 10,000 digits, 28 x 28, as colour channels.

    multigan train benchmarks/stacked_mnist --data mnist               one row, on a CPU
    multigan train benchmarks/stacked_mnist --data mnist --size gpu --batch-size 512 --device cuda
    python -m tests.benchmarks.queue stacked_mnist                     the CPU rows with three seeds
    python -m tests.benchmarks.queue --table stacked_mnist             mean and spread

128,000 fixed stacks of training digits; modes counted in 26,000 drawn stacks by a classifier of the
training digits, channel by channel; KL to equal shares, its floor .0192 at this count. No other
figure of this benchmark is comparable unless it is of the same digits and count. Not run yet.
"""

from multigan.image.discriminators import DCGANDiscriminator, R3Discriminator
from multigan.image.generators import DCGANGenerator, R3Generator
from multigan.image.stacked import StackedImages
from multigan.recipe import Recipe, Schedule

TINY = {"data": "digits", "resolution": 8, "steps": 4, "batch_size": 8, "size": "tiny"}
ROWS = {"r3": {}, "vanilla": {"game": "vanilla"}}
SEEDS = 3
SIZES = {  # the networks' kind and widths, the smallest stage first
    "tiny": ("dcgan", (4,)),
    "cpu": ("dcgan", (64, 32)),
    "gpu": ("r3", (768, 768, 768)),
}
GENERATORS = {"dcgan": DCGANGenerator, "r3": R3Generator}
DISCRIMINATORS = {"dcgan": DCGANDiscriminator, "r3": R3Discriminator}


def recipe(
    *,
    data: str = "mnist",
    resolution: int = 28,
    size: str = "cpu",
    game: str = "r3",
    steps: int = 12_000,
    batch_size: int = 64,
    lr: float = 2e-3,
    gamma: float = 0.3,
) -> Recipe:
    """Stacks of three digits.

    data: a folder of IDX files, or other grey pictures with classes
    resolution: of the pictures, in pixels
    size: cpu (DCGAN, 32 and 64 wide) or gpu (R3GAN, 768 wide)
    game: r3 (relativistic, with R1 and R2) or vanilla (the textbook game, as DCGAN plays it)
    steps: updates of the generator; 20,000 for the published 10 million stacks at a batch of 512
    batch_size: real stacks in one update
    lr: of r3, both networks, at the start; it falls to zero along a cosine
    gamma: of r3, weight of both gradient penalties at the start; a tenth of it after the burn-in
    """
    stacks = StackedImages(data, resolution)
    kind, widths = SIZES[size]
    sizes = (resolution, stacks.domain.channels, widths)
    falling = Schedule(lr, 0.0)
    rates = {"generator_lr": falling, "discriminator_lr": falling}
    games = {
        "r3": {"penalties": {"r1": gamma, "r2": gamma}, **rates},
        "vanilla": {"loss": "nonsaturating", "beta1": 0.5, "beta2": 0.999},
    }
    norm = {"norm": "batch"} if game == "vanilla" and kind == "dcgan" else {}
    return Recipe(
        data=stacks,
        generator=GENERATORS[kind](*sizes),
        discriminator=DISCRIMINATORS[kind](*sizes, **norm),
        steps=steps,
        batch_size=batch_size,
        ema_halflife_samples=10_000,
        **games[game],
    )
