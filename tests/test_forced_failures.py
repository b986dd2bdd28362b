"""Whole trainings that are forced wrong are named by their diagnoses.

`python -m tests.test_forced_failures` prints what each of them is told.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from multigan.arrays.datasets.arrays import ArrayDataset
from multigan.arrays.datasets.sources import two_moons
from multigan.arrays.models import MLP
from multigan.core.protocols import Batch
from multigan.core.recipe import Recipe
from multigan.core.recipe_file import build_recipe, read_recipe, resolve_hyperparameters
from multigan.core.rng import keyed_rng
from multigan.engine.trainer import AdversarialTrainer
from multigan.training.launch import train
from multigan.training.loop import TrainingFailed
from tests.run_diagnoses import diagnoses

SMALL = {"width": 32, "depth": 2, "batch_size": 64}


def built(name: str, steps: int, seed: int = 0, **hyperparameters: Any) -> Recipe:
    """A recipe, tiny where it is of images, small where it is of arrays."""
    small = SMALL if name == "arrays" else {}
    file = read_recipe(name)
    given = small | hyperparameters | {"steps": steps}
    return build_recipe(file, resolve_hyperparameters(file, given, name == "image"), seed=seed)


def shuffled_labels(recipe: Recipe) -> Recipe:
    """Give every image the label of another one, in all splits."""
    for split in ("train", "valid"):
        data: Any = recipe.data if split == "train" else recipe.data.split(split)
        order = torch.randperm(len(data.labels), generator=keyed_rng("labels", split))
        data.labels = data.labels[order]
        if split == "valid":
            recipe.data.split = lambda _, held_out=data: held_out  # type: ignore[method-assign]
    return recipe


def with_data(x: Tensor, y: Tensor | None) -> Callable[[Recipe], Recipe]:
    """A change of a recipe: other arrays."""
    return lambda recipe: replace(recipe, data=ArrayDataset(x, y))


def shuffled_arrays(recipe: Recipe) -> Recipe:
    """Give the two moons the labels of each other."""
    x, y = two_moons()
    order = torch.randperm(len(y), generator=keyed_rng("labels"))
    return replace(recipe, data=ArrayDataset(x, y[order]))


class WithoutLabel(nn.Module):
    """A network that always sees the first label."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return self.network(x, torch.zeros_like(label))


class Bounded(nn.Module):
    """A discriminator whose logits end in a sigmoid, which its bias saturates."""

    def __init__(self, network: Any, bias: float) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():
            network.last.bias.fill_(bias)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return self.network(x, label).sigmoid()


def without_label(network: str) -> Callable[[Recipe], Recipe]:
    """A change of a recipe: one of the networks does not see the labels."""

    def change(recipe: Recipe) -> Recipe:
        changed = WithoutLabel(getattr(recipe, network).network)
        size = 8 if network == "generator" else None
        return replace(recipe, **{network: changed, "latent_dim": size})

    return change


def saturated(recipe: Recipe) -> Recipe:
    """End the discriminator in a sigmoid, saturated from the start."""
    bounded = Bounded(recipe.discriminator.network, bias=30.0)  # type: ignore[attr-defined]
    with pytest.warns(UserWarning, match="the discriminator ends in a sigmoid"):
        return replace(recipe, discriminator=bounded)


def frozen(network: str) -> Callable[[Recipe], Recipe]:
    """A change of a recipe: one of the networks has no trainable weight."""

    def change(recipe: Recipe) -> Recipe:
        getattr(recipe, network).requires_grad_(False)
        return recipe

    return change


def changed(**fields: Any) -> Callable[[Recipe], Recipe]:
    """A change of a recipe: other fields."""
    return lambda recipe: replace(recipe, **fields)


def far_from_the_start(recipe: Recipe) -> Recipe:
    """Put the data where no first sample is, and hardly let the generator move."""
    x, y = two_moons()
    return replace(recipe, data=ArrayDataset(x / 2 + 4, y), generator_lr=1e-6)


def few_points(recipe: Recipe) -> Recipe:
    """Train large networks on 16 points of a Gaussian; as many are held out."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        generator, discriminator = MLP((8,), (2,), 128, 3), MLP((2,), (1,), 128, 3)
    x = torch.randn(32, 2, generator=keyed_rng("few points"))
    return replace(
        recipe,
        data=ArrayDataset(x, held_out=0.5),
        generator=generator,
        discriminator=discriminator,
        latent_dim=8,
        ema_halflife_samples=2000,
    )


class Items:
    """The first `n` items of a dataset as its training split."""

    def __init__(self, data: Any, n: int) -> None:
        self.data, self.n, self.domain = data, n, data.domain
        self.in_memory, self.is_stochastic = data.in_memory, data.is_stochastic
        self.fingerprint = f"{n} of {data.fingerprint}"

    def __len__(self) -> int:
        return self.n

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        return self.data.batch(indices, rng)

    def split(self, name: str) -> Any:
        return self if name == "train" else self.data.split(name)


def few_images(recipe: Recipe) -> Recipe:
    """Keep 24 images of the training split."""
    return replace(recipe, data=Items(recipe.data, 24), ema_halflife_samples=2000)


class Location(nn.Module):
    """A Gaussian with a trainable mean."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, latent: Tensor) -> Tensor:
        return self.mean + 0.05 * latent


class Linear(nn.Module):
    """A linear discriminator without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.slope


def dirac(recipe: Recipe) -> Recipe:
    """A mean and a slope that circle around each other.

    Source: Mescheder, Geiger and Nowozin 2018, "Which training methods for GANs do actually
    converge?", the Dirac-GAN.
    """
    return Recipe(
        data=ArrayDataset(0.05 * torch.randn(400, 2, generator=keyed_rng("dirac"))),
        generator=Location(),
        discriminator=Linear(),
        latent_dim=2,
        steps=recipe.steps,
        batch_size=64,
        loss="nonsaturating",
        generator_lr=0.1,
        discriminator_lr=0.1,
    )


class Failure(NamedTuple):
    """A recipe, what is done to it, and the diagnosis, or one of several, that must be found."""

    recipe: str
    steps: int
    hyperparameters: dict[str, Any]
    name: str
    change: Callable[[Recipe], Recipe] = replace


PLAIN = {"loss": "nonsaturating", "gamma": "0"}
UNPENALIZED = {"loss": "nonsaturating", "gamma": 0.0}
OR = " or "
HELD = f"dead discriminator{OR}penalty suppresses discriminator"  # with one advice

FAILURES = {
    "one image of each class": Failure(
        "image", 400, {"loss": "minimax", "gamma": "0", "lr": 0.02}, "collapse within conditions"
    ),
    "2 of 25 modes": Failure("points", 1500, PLAIN | {"width": 64}, "missing modes"),
    "one point": Failure(
        "points",
        1000,
        PLAIN | {"width": 32, "depth": 2, "batch_size": 64, "lr": 0.05},
        "mode collapse",
    ),
    "a learning rate that is 100 times too large": Failure(
        "image", 400, {"lr": 0.3}, "collapse within conditions"
    ),
    "a learning rate that is 1,000 times too large": Failure(
        "arrays", 400, {"lr": 1.0}, "divergence"
    ),
    "labels of images in another order": Failure(
        "image", 400, {}, "mislabeled data", shuffled_labels
    ),
    "labels of arrays in another order": Failure(
        "arrays", 600, {}, "mislabeled data", shuffled_arrays
    ),
    "a generator without its label": Failure(
        "arrays", 1000, {}, "ignored condition", without_label("generator")
    ),
    "a discriminator without the label": Failure(
        "arrays", 1000, {}, "ignored condition", without_label("discriminator")
    ),
    "equal data": Failure(
        "arrays", 400, {}, "degenerate data", with_data(torch.ones(400, 2), torch.arange(400) % 2)
    ),
    "a saturated discriminator": Failure("arrays", 400, {}, "dead discriminator", saturated),
    "a gamma of 1,000": Failure("image", 400, {"gamma": "1000"}, HELD),
    "a gamma of 1,000, far from the data": Failure(
        "arrays", 600, {"gamma": 1e3, "lr": 1e-4}, HELD, far_from_the_start
    ),
    "a discriminator that wins": Failure(
        "arrays", 600, {"gamma": 0.0}, "discriminator dominates", far_from_the_start
    ),
    "a generator that wins": Failure(
        "arrays", 600, UNPENALIZED, "generator dominates",
        changed(discriminator_lr=1e-6, generator_lr=1e-2),
    ),
    "a discriminator that does not move": Failure(
        "arrays", 400, {}, "frozen network", changed(discriminator_lr=0.0)
    ),
    "a generator that does not move": Failure(
        "arrays", 400, {}, "frozen network", changed(generator_lr=0.0)
    ),
    "networks that circle": Failure("arrays", 1000, {}, "oscillation", dirac),
    "16 points": Failure("arrays", 1500, {"gamma": 0.001}, "memorization", few_points),
    "24 images": Failure("image", 1500, {"width": 16}, "memorization", few_images),
}  # fmt: skip


def found_in(case: str, seed: int = 0) -> dict[str, str]:
    """All diagnoses of a training that is forced wrong, by name."""
    failure = FAILURES[case]
    recipe = built(failure.recipe, failure.steps, seed, **failure.hyperparameters)
    return diagnoses(failure.change(recipe), failure.steps, failure.steps)


@pytest.mark.slow
@pytest.mark.parametrize("case", FAILURES)
def test_a_training_that_is_forced_wrong_is_named(case):
    assert found_in(case).keys() & set(FAILURES[case].name.split(OR))


def exploding(params: Any) -> torch.optim.Optimizer:
    """Gradient descent at a learning rate that no network survives."""
    return torch.optim.SGD(params, lr=100.0)


def test_a_training_whose_weights_explode_ends_with_its_step_and_what_to_try(tmp_path):
    recipe = replace(
        built("arrays", 20), optimizer=exploding, generator_lr=2e-4, discriminator_lr=2e-4
    )
    stopped = r"step \d+: loss/\w+ is not finite, .*; try a smaller learning rate"
    with pytest.raises(TrainingFailed, match=stopped):
        train(recipe, out=str(tmp_path / "run"), show=False, report=False)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_network_without_trainable_weights_is_refused(network):
    recipe = frozen(network)(built("arrays", 20))
    with pytest.raises(ValueError, match=f"the {network} must have trainable parameters; got only"):
        AdversarialTrainer(recipe)


if __name__ == "__main__":
    for case in sys.argv[2:] or FAILURES:
        start = time.process_time()
        found = found_in(case, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
        print(f"\n## {case} ({time.process_time() - start:.1f} CPU s): {FAILURES[case].name}")
        for name, message in found.items():
            print(f"{'=>' if name in FAILURES[case].name else '  '} {name}: {message}")
