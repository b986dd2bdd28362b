"""Stacked-Digits-1000: 8 x 8 digits of scikit-learn as color channels, 1,000 modes, on a CPU.

    multigan train benchmarks/stacked_digits --objective vanilla  one row
    python -m tests.benchmarks.queue stacked_digits               every row with three seeds
    python -m tests.benchmarks.queue --table stacked_digits       mean and spread

128,000 fixed stacks of training digits; modes counted in 26,000 sampled stacks by a classifier of
the training digits, channel by channel; KL to the uniform distribution, floor .0192 at this count.
The vanilla row has the loss, norms and Adam of DCGAN, and more steps for equal time (19 for 23 ms
of CPU). Seeds 0, 1, 2 on x86, one thread: r3 1,000 modes each, KL .0816, .0888, .0798 (held-out
stacks .0205), Frechet 6.08, 6.21, 5.87 (held out 3.67), 512 CPU seconds; vanilla 1,000 modes each,
KL .124, .123, .115, Frechet 6.95, 7.25, 6.68, 447 CPU seconds.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.image.datasets.stacked import StackedImages
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import stage_widths

TINY = {"steps": 4, "batch_size": 8, "width": 4}
ROWS = {"r3": {}, "vanilla": {"objective": "vanilla", "steps": 24_000}}
SEEDS = 3


def recipe(
    *,
    data: str = "digits",
    resolution: int = 8,
    objective: str = "r3",
    steps: int = 20_000,
    batch_size: int = 64,
    width: int = 96,
    lr: float = 2e-3,
    gamma: float = 0.3,
) -> Recipe:
    """Stacks of three digits.

    data: digits, or the path of labeled grayscale images
    resolution: of the images, in pixels
    objective: r3 (relativistic, R1 and R2) or vanilla (nonsaturating, norms and Adam of DCGAN)
    steps: updates of the generator
    batch_size: real stacks in one update
    width: channels of the stage with half the resolution, doubled at each lower stage
    lr: of r3, both networks, at the start; falls to zero on a cosine
    gamma: of r3, weight of both gradient penalties at the start; a tenth of it after the burn-in
    """
    stacks = StackedImages(data, resolution)
    widths, channels = stage_widths(width, resolution), stacks.domain.channels
    objectives = {
        "r3": {
            "penalties": {"r1": gamma, "r2": gamma},
            "generator_lr": Schedule(lr, 0.0),
            "discriminator_lr": Schedule(lr, 0.0),
            "burn_in": 0.2,
        },
        "vanilla": {"loss": "nonsaturating", "beta1": 0.5, "beta2": 0.999},
    }
    norm = {"r3": "none", "vanilla": "batch"}[objective]
    return Recipe(
        data=stacks,
        generator=DCGANGenerator(resolution, channels, widths),
        discriminator=DCGANDiscriminator(resolution, channels, widths, norm=norm),
        steps=steps,
        batch_size=batch_size,
        ema_halflife_samples=10_000,
        **objectives[objective],
    )
