"""Pix2pix on paired digits: from 4 x 4 pixels to 8 x 8, an adversarial loss and an L1 term.

    python examples/pix2pix.py
    multigan train examples/pix2pix.py --out runs/pix2pix

Result of `python examples/pix2pix.py`, seed 0: L1 distance to held-out digits .176 (enlarged small
digits: .308), in 34 s of CPU in one thread of a 2-core x86 machine that other work was using.
Source: Isola et al. 2017, arXiv:1611.07004 (the loss; the networks here are perceptrons).
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from multigan import ArrayDataset, Recipe, Term, component, train
from multigan.image.datasets.sources import read_digits
from multigan.image.formats.decode import Size

TINY = {"steps": 4}


@component
class PairedDigits(ArrayDataset):
    """x: digits (64,) in [-1, 1]; y: the same at 4 x 4 pixels (16,)."""

    def __init__(self, split: str = "all"):
        images = read_digits(Size(8, 8)).pixels.float() / 127.5 - 1
        super().__init__(images.flatten(1), avg_pool2d(images, 2).flatten(1), split=split)


@component
class Pair(nn.Module):
    """A perceptron of two arrays, side by side."""

    def __init__(self, inputs: int, outputs: int, width: int = 128):
        super().__init__()
        layers = [nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, width)]
        self.body = nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Linear(width, outputs))

    def forward(self, inputs, condition):
        """(B, I), (B, 16) -> (B, outputs)."""
        return self.body(torch.cat([inputs, condition], dim=1))


def l1(step):
    """The distance to the digit that belongs to the condition."""
    return (step.fake - step.real).abs()


def recipe(*, steps: int = 1500, l1_weight: float = 10.0) -> Recipe:
    """Digits from small digits.

    steps: updates of the generator
    l1_weight: weight of the L1 term
    """
    return Recipe(
        data=PairedDigits("train"),
        generator=Pair(8 + 16, 64),
        latent_dim=8,
        discriminator=Pair(64 + 16, 1),
        steps=steps,
        batch_size=64,
        loss="nonsaturating",
        penalties={"r1": 1.0},
        losses={"l1": Term(l1, l1_weight)},
        generator_lr=1e-3,
        discriminator_lr=1e-3,
    )


def measure(run):
    """The mean distance to held-out digits, and that of enlarged small digits."""
    test = run.recipe.data.split("test")
    x, y = test.batch(torch.arange(len(test)))
    made = torch.from_numpy(np.stack(run.sampler().sample(len(test), condition=y))).flatten(1)
    enlarged = y.reshape(-1, 4, 4).repeat_interleave(2, 1).repeat_interleave(2, 2).flatten(1)
    return {"l1": float((made - x).abs().mean()), "enlarged": float((enlarged - x).abs().mean())}


if __name__ == "__main__":
    print(measure(train(__file__)))
