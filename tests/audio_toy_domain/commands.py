"""Commands of the domain: `multigan waves loudness RUN`."""

import torch
from waves.domain import loudness as loudness_of

from multigan.core.protocols import Sampler


def loudness(generator: Sampler, *, n: int = 8) -> None:
    """Print how loud generated waves are.

    generator: a run or weight file
    n: how many waves
    """
    print(f"loudness of {n} waves: {float(loudness_of(torch.tensor(generator.sample(n)))):.3f}")
