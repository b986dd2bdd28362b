"""InfoGAN on digits: a second network recovers a code of ten values from the sample.

    python examples/infogan.py
    multigan train examples/infogan.py --out runs/infogan

No label is used in training. Result of `python examples/infogan.py`, seed 0: the code is recovered
from all of 2,000 samples; its mutual information with the nearest real digit's class is 1.04 nats
(by chance: .02), in 46 s of CPU in one thread of a 2-core x86 machine that others were using.
Source: Chen et al. 2016, arXiv:1606.03657 (the term; the networks here are perceptrons).
"""

import torch
from torch.nn.functional import cross_entropy, one_hot

from multigan import ArrayDataset, Networks, Recipe, Term, component, train
from multigan.arrays.models import MLP
from multigan.image.datasets.sources import read_digits
from multigan.image.formats.decode import Size

TINY = {"steps": 4}
CODES, NOISE = 10, 16


@component
class Digits(ArrayDataset):
    """x: digits (64,) in [-1, 1], without labels."""

    def __init__(self, split: str = "all"):
        super().__init__(read_digits(Size(8, 8)).pixels.flatten(1) / 127.5 - 1, split=split)


def code_of(latent):
    """The code (B,): the largest of the first ten numbers of the latent, each equally likely."""
    return latent[:, :CODES].argmax(1)


def make(networks, latent, condition):
    """A sample of the code and the rest of the latent."""
    code = one_hot(code_of(latent), CODES).float()
    return networks["generator"](torch.cat([code, latent[:, CODES:]], dim=1))


def code(step):
    """The code must be found in the sample: a lower bound of their mutual information."""
    return cross_entropy(step.generator["recognizer"](step.fake), code_of(step.latent))


def recipe(*, steps: int = 2000, code_weight: float = 1.0) -> Recipe:
    """Digits of a code.

    steps: updates of the generator
    code_weight: weight of the term of the code
    """
    networks = {
        "generator": MLP((CODES + NOISE,), (64,)),
        "recognizer": MLP((64,), (CODES,)),
    }
    return Recipe(
        data=Digits("train"),
        generator=Networks(networks, make),
        latent_dim=CODES + NOISE,
        discriminator=MLP((64,), (1,)),
        steps=steps,
        batch_size=64,
        loss="nonsaturating",
        penalties={"r1": 1.0},
        losses={"code": Term(code, code_weight)},
        generator_lr=1e-3,
        discriminator_lr=1e-3,
    )


def mutual_information(a, b):
    """Nats between two numberings (N,) of ten values each."""
    joint = torch.zeros(10, 10).index_put_((a, b), torch.ones(len(a)), accumulate=True) / len(a)
    independent = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return float(torch.special.xlogy(joint, joint / independent.clamp_min(1e-12)).sum())


def measure(run):
    """Mutual information of the code with the nearest real digit's class, and with a shuffle."""
    images, generator = read_digits(Size(8, 8)), run.sampler().generator
    latent = generator.sample_latent(2000, torch.Generator().manual_seed(0))
    real = images.pixels.flatten(1) / 127.5 - 1
    found = images.labels[torch.cdist(generator(latent), real).argmin(1)]
    shuffled = found[torch.randperm(2000, generator=torch.Generator().manual_seed(1))]
    recovered = generator.network["recognizer"](generator(latent)).argmax(1)
    return {
        "code_recovered": float((recovered == code_of(latent)).float().mean()),
        "nats_with_class": mutual_information(code_of(latent), found),
        "nats_by_chance": mutual_information(code_of(latent), shuffled),
    }


if __name__ == "__main__":
    print(measure(train(__file__)))
