"""PacGAN's mixtures, the 8-ring and the 25-grid: the modes that each objective covers.

    multigan train benchmarks/mixtures --objective vanilla     the ring with the textbook objective
    python -m tests.benchmarks.queue mixtures                  every row with ten seeds
    python -m tests.benchmarks.queue --table mixtures          mean and spread

100,000 training points, 2,500 samples, high quality within 3 sd of a mode (a true sampler:
98.9 %), reverse KL over these (its floor: ring .0014, grid .0048). Networks are ours, 128 wide, and
equal for both objectives. Published (Lin et al. 2018): ring, GAN 6.3 modes of 8, PacGAN2 7.9;
grid, GAN 17.3 modes of 25, PacGAN4 24.8.

Mean and deviation of 10 seeds: ring, 8 modes each, high quality .962 (.008), reverse KL .005
(.003), textbook objective 1.7 (.8) modes; grid, 25 modes each, .975 (.004), .008 (.002), textbook
objective 2.2 (1.5) modes. Time: ring 49, grid 175 CPU s, one thread of x86.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.points.dataset import GaussianMixture
from multigan.points.models import MLPDiscriminator, MLPGenerator

TINY = {"steps": 20, "batch_size": 32, "width": 16}
ROWS = {
    "ring_r3": {},
    "ring_vanilla": {"objective": "vanilla"},
    "grid_r3": {"mixture": "grid", "steps": 10_000},
    "grid_vanilla": {"mixture": "grid", "steps": 10_000, "objective": "vanilla"},
}
SEEDS = 10
OBJECTIVES = {
    "r3": {"loss": "relativistic", "penalties": {"r1": 0.1, "r2": 0.1}, "burn_in": 0.2},
    "vanilla": {"loss": "nonsaturating"},
}


def recipe(
    *,
    mixture: str = "ring",
    objective: str = "r3",
    steps: int = 2500,
    batch_size: int = 256,
    width: int = 128,
    lr: float = 2e-3,
) -> Recipe:
    """Points of a mixture of Gaussians.

    mixture: ring (8 modes) or grid (25)
    objective: r3 (relativistic, with R1 and R2) or vanilla (the textbook objective)
    steps: updates of the generator
    batch_size: real points in one update
    width: outputs of each hidden layer, in both networks
    lr: learning rate of both networks at the start; it falls to zero along a cosine
    """
    falling = Schedule(lr, 0.0)
    return Recipe(
        data=GaussianMixture(mixture),
        generator=MLPGenerator(width=width, depth=4),
        discriminator=MLPDiscriminator(width, depth=3),
        steps=steps,
        batch_size=batch_size,
        generator_lr=falling,
        discriminator_lr=falling,
        **OBJECTIVES[objective],
    )
