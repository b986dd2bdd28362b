"""The smallest networks, data and domain that the engine can train: points in the plane.

All of them are deterministic: weights and points are drawn from the seed that they are given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multigan.core.modules import sample_batch
from multigan.core.protocols import Batch
from multigan.core.recipe import Recipe
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng

CLASSES = 3


def draw_weights(module: nn.Module, seed: int | str) -> None:
    """Fill every parameter from `seed`, whatever the global random stream has done before."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            rng = keyed_rng("toy weights", seed, name)
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=rng))


@dataclass(frozen=True)
class ToyDomain:
    """Points (x, y); the distance between the means is what is measured."""

    selection_metric: str = "distance"

    def sample(self, generator: Any, n: int, rng: torch.Generator) -> list[tuple[float, float]]:
        return self.decode(sample_batch(generator, n, rng))

    def decode(self, x: Tensor) -> list[tuple[float, float]]:
        return [(a, b) for a, b in x.tolist()]

    def preview(self, samples: list, path: Path, columns: int | None = None) -> list[Path]:
        file = path.with_suffix(".txt")
        file.write_text("\n".join(f"{a:.6f} {b:.6f}" for a, b in samples) + "\n")
        return [file]

    def write(self, samples: list, folder: Path) -> list[Path]:
        files = [folder / f"{k:06d}.json" for k in range(len(samples))]
        for file, sample in zip(files, samples, strict=True):
            file.write_text(json.dumps(sample))
        return files

    def evaluate(self, sampler: Any, data: Any, rng: torch.Generator, cache: Path) -> ResultsTable:
        real = data.batch(torch.arange(len(data))).x
        fake = torch.tensor(sampler.sample(len(real), seed=0))
        return ResultsTable(
            {"generator": {"distance": float((real.mean(0) - fake.mean(0)).norm())}}
        )


class ToyData:
    """`size` points; point i has the label i % CLASSES if `labelled`.

    With `draws`, noise is added to every point that is taken out.
    """

    fingerprint = "toy"

    def __init__(
        self,
        size: int = 20,
        *,
        labelled: bool = False,
        in_memory: bool = True,
        draws: bool = False,
        seed: int = 0,
    ) -> None:
        self.domain = ToyDomain()
        self.in_memory, self.is_stochastic, self.labelled = in_memory, draws, labelled
        self.points = 1 + torch.randn(size, 2, generator=keyed_rng("toy points", seed))

    def __len__(self) -> int:
        return len(self.points)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        x = self.points[indices]
        if self.is_stochastic:
            assert rng is not None, "a set that draws is always given an rng"
            x = x + 0.1 * torch.randn(x.shape, generator=rng)
        return Batch(x, indices % CLASSES if self.labelled else None)

    def split(self, name: str) -> ToyData:
        return self


class ToyGenerator(nn.Module):
    """z (B, 3), and labels (B,) if `labelled`, to points (B, 2). It has a BatchNorm's buffers."""

    def __init__(self, seed: int = 0, labelled: bool = False) -> None:
        super().__init__()
        self.label = nn.Embedding(CLASSES, 3) if labelled else None
        self.body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        draw_weights(self, f"generator {seed}")

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, 3, generator=rng)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.body(latent if self.label is None else latent + self.label(condition))


class ToyDiscriminator(nn.Module):
    """Points (B, 2), and labels (B,) if `labelled`, to logits (B,); smooth in its input."""

    uses_batch_statistics = False

    def __init__(self, seed: int = 0, labelled: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.label = nn.Embedding(CLASSES, 2) if labelled else None
        self.body = nn.Sequential(
            nn.Linear(2, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 8), nn.Tanh()
        )
        self.head = nn.Linear(8, 1)
        draw_weights(self, f"discriminator {seed}")

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.body(x if self.label is None else x + self.label(condition))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, condition)).squeeze(1)


class LinearDiscriminator(nn.Module):
    """<a, x> + b, so that the slope is `slope` everywhere."""

    uses_batch_statistics = False

    def __init__(self, slope: Tensor, offset: float = 0.3) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope.clone())
        self.offset = nn.Parameter(torch.tensor(offset, dtype=slope.dtype))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return (x * self.slope).flatten(1).sum(1) + self.offset


class IdentityDiscriminator(nn.Module):
    """The logits are the input itself; weights are `weights`, if given."""

    uses_batch_statistics = False

    def forward(self, x: Tensor, condition: Any = None) -> Tensor | tuple[Tensor, Tensor]:
        return x if condition is None else (x, condition)


def toy_recipe(labelled: bool = False, **changes: Any) -> Recipe:
    """A recipe of four steps for the toys; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "data": ToyData(labelled=labelled),
        "generator": ToyGenerator(labelled=labelled),
        "discriminator": ToyDiscriminator(labelled=labelled),
        "steps": 4,
        "batch_size": 8,
        "loss": "nonsaturating",
        "generator_lr": 1e-2,
        "discriminator_lr": 1e-2,
    }
    return Recipe(**(fields | changes))


class GradientRecorder(torch.optim.SGD):
    """An optimiser that keeps a copy of the gradients of every step and moves nothing."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.gradients: list[dict[str, Tensor]] = []
        super().__init__([p for p in module.parameters() if p.requires_grad], lr=0.0)

    def step(self, closure: Any = None) -> None:
        self.gradients.append(
            {
                name: parameter.grad.clone()
                for name, parameter in self.module.named_parameters()
                if parameter.grad is not None
            }
        )


def record_gradients(trainer: Any) -> dict[str, GradientRecorder]:
    """Put recorders in the place of the trainer's optimisers, so that its networks stand still."""
    trainer.optimizers = {
        name: GradientRecorder(getattr(trainer, name)) for name in ("generator", "discriminator")
    }
    return trainer.optimizers
