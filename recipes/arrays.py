"""Arrays of any shape from a .npy or .npz file, learned by two perceptrons, with labels if any.

    multigan train arrays
    multigan train arrays --data mine.npz

Default data: two interleaved half circles with a label each. Its result was not measured.
Try: `multigan train arrays --loss hinge --gamma 1` (not measured).
"""

from multigan.arrays.datasets.sources import ArraySource
from multigan.arrays.models import MLP
from multigan.core.recipe import Recipe, Schedule

TINY = {"steps": 20, "batch_size": 32, "width": 16, "depth": 2}


def recipe(
    *,
    data: str = "moons",
    steps: int = 3000,
    batch_size: int = 128,
    latent_dim: int = 8,
    width: int = 128,
    depth: int = 3,
    lr: float = 1e-3,
    loss: str = "relativistic",
    gamma: float = 0.1,
    ema_halflife_samples: int = 10_000,
) -> Recipe:
    """Arrays, conditional on labels if the data have labels.

    data: moons, a .npy file with x, or an .npz file with x (N, ...) and perhaps labels y (N,)
    steps: updates of the generator
    batch_size: real samples in one update
    latent_dim: length of the latent
    width: outputs of each hidden layer, in both networks
    depth: hidden layers of both networks
    lr: learning rate of both networks at the start; it falls to zero along a cosine
    loss: adversarial loss, a name of multigan.engine.losses.LOSSES
    gamma: weight of both penalties
    ema_halflife_samples: half-life of the averaged generator, in training samples
    """
    if latent_dim < 1:
        raise ValueError(f"latent_dim must be 1 or more; got {latent_dim}")
    samples, falling = ArraySource(data, split="train"), Schedule(lr, 0.0)
    shape, classes = samples.domain.shape, max(samples.domain.labels, default=-1) + 1
    return Recipe(
        data=samples,
        generator=MLP((latent_dim,), shape, width, depth, classes),
        discriminator=MLP(shape, (1,), width, depth, classes),
        latent_dim=latent_dim,
        steps=steps,
        batch_size=batch_size,
        loss=loss,
        penalties={"r1": gamma, "r2": gamma},
        generator_lr=falling,
        discriminator_lr=falling,
        ema_halflife_samples=ema_halflife_samples,
    )
