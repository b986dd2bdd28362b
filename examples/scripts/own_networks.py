"""Train networks of your own on arrays of your own.

python examples/scripts/own_networks.py out
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from multigan import ArrayDataset, Recipe, train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("out", type=Path, help="a new folder")
parser.add_argument("--steps", type=int, default=2000)
options = parser.parse_args()

angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 5000)
circle = np.stack([np.cos(angle), np.sin(angle)], 1).astype("float32")
torch.manual_seed(0)
generator = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
discriminator = torch.nn.Sequential(
    torch.nn.Linear(2, 64), torch.nn.LeakyReLU(), torch.nn.Linear(64, 1)
)
recipe = Recipe(
    data=ArrayDataset(circle),
    generator=generator,
    latent_dim=8,
    discriminator=discriminator,
    penalties={"r1": 0.1, "r2": 0.1},
    steps=options.steps,
    batch_size=64,
)
run = train(recipe, out=str(options.out))
radius = np.linalg.norm(run.sampler().sample(1000, seed=0), axis=1)
print(f"radius of the samples: {radius.mean():.3f} +- {radius.std():.3f}; of the data 1")
