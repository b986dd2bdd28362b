"""Sine waves from two small perceptrons.

multigan train ./toy.py
"""

from waves.dataset import Waves
from waves.models import WaveDiscriminator, WaveGenerator

from multigan.core.recipe import Recipe

TINY = {"steps": 20, "width": 8}


def recipe(*, steps: int = 2000, width: int = 64, length: int = 16) -> Recipe:
    """Waves.

    steps: updates of the generator
    width: hidden units of both networks
    length: heights in a wave
    """
    return Recipe(
        data=Waves(length=length),
        generator=WaveGenerator(length, width),
        discriminator=WaveDiscriminator(length, width),
        steps=steps,
        batch_size=32,
        penalties={"r1": 0.1, "r2": 0.1},
    )
