"""Stacked-MNIST-1000 of a subset of MNIST: 10,000 digits as color channels.

    multigan train benchmarks/stacked_mnist --data mnist    one row, on a CPU
    multigan train benchmarks/stacked_mnist --data mnist --size gpu --device cuda
    python -m tests.benchmarks.queue stacked_mnist          the CPU rows with three seeds
    python -m tests.benchmarks.queue --table stacked_mnist  mean and spread

128,000 fixed stacks of training digits; modes counted in 26,000 sampled stacks by a classifier of
the training digits, channel by channel; KL to the uniform distribution, floor .0192 at this count.
Published results are comparable only with the same digits and count. `--size gpu` is the published
configuration of R3GAN, the preset stacked-mnist: 28 pixels padded by 2, 10 million stacks; not run.
CPU size, seed 0, one thread of x86: r3 1,000 modes, KL .129 (held-out stacks .027), Frechet 4.87
(held out 2.08), 904 CPU s; vanilla 990, .382, 8.74, 911 CPU s. Other seeds were not run.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.image.datasets.stacked import StackedImages
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.presets import get_preset

TINY = {"data": "digits", "steps": 4, "batch_size": 8, "size": "tiny"}
ROWS = {"r3": {}, "vanilla": {"objective": "vanilla", "steps": 13_000}}
SEEDS = 3
PRESET = get_preset("stacked-mnist")
# steps, batch size, gamma, EMA half-life in samples, learning rate
ON_CPU = (8_000, 64, 0.3, 10_000, Schedule(2e-3, 0.0))
PUBLISHED = (
    PRESET.steps,
    PRESET.batch_size,
    PRESET.gamma,
    PRESET.ema_halflife_samples,
    PRESET.lr_schedule(),
)
SIZES = {  # pixels a side, padding, the settings above, widths of DCGAN
    "tiny": (8, 0, ON_CPU, (4,)),
    "cpu": (28, 0, ON_CPU, (64, 32)),
    "gpu": (PRESET.resolution, 2, PUBLISHED, None),
}


def recipe(
    *,
    data: str = "mnist",
    size: str = "cpu",
    objective: str = "r3",
    steps: int | None = None,
    batch_size: int | None = None,
    gamma: float | None = None,
) -> Recipe:
    """Stacks of three digits.

    data: a folder of IDX files, or other labeled grayscale images
    size: cpu (DCGAN, 32 and 64 wide, 28 pixels) or gpu (the preset stacked-mnist, 32 pixels)
    objective: r3 (relativistic, R1 and R2) or vanilla (nonsaturating, norms and Adam of DCGAN)
    steps: updates of the generator; by default those of the size
    batch_size: real stacks in one update; by default that of the size
    gamma: of r3, both penalties at the start, a tenth later; by default that of the size
    """
    side, padding, (usual_steps, usual_batch, usual_gamma, halflife, rate), widths = SIZES[size]
    stacks = StackedImages(data, side, padding=padding)
    weight = usual_gamma if gamma is None else gamma
    if widths is None:
        pair = PRESET.build(stacks.domain)
    else:
        sizes, norm = (side, 3, widths), {"r3": "none", "vanilla": "batch"}[objective]
        pair = DCGANGenerator(*sizes), DCGANDiscriminator(*sizes, norm=norm)
    rates = {"generator_lr": rate, "discriminator_lr": rate, "burn_in": PRESET.burn_in}
    objectives = {
        "r3": {"penalties": {"r1": weight, "r2": weight}, **rates},
        "vanilla": {"loss": "nonsaturating", "beta1": 0.5, "beta2": 0.999},
    }
    return Recipe(
        data=stacks,
        generator=pair[0],
        discriminator=pair[1],
        steps=usual_steps if steps is None else steps,
        batch_size=usual_batch if batch_size is None else batch_size,
        ema_halflife_samples=halflife,
        **objectives[objective],
    )
