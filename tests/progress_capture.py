"""Looking at a trainer while it trains: weights, gradients, what its objective is asked."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from multigan.core.recipe import Recipe
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import record_gradients


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.named_parameters()}


def moved(before: dict[str, Tensor], network: nn.Module) -> set[str]:
    after = network.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def gradients_of(recipe: Recipe, steps: int = 1) -> dict[str, list[dict[str, Tensor]]]:
    """The gradients of the first updates of both networks, which stand still meanwhile."""
    trainer = AdversarialTrainer(recipe)
    recorded = record_gradients(trainer)
    list(itertools.islice(trainer.steps(), steps))
    return {name: recorder.gradients for name, recorder in recorded.items()}


class Watched:
    """An Objective that keeps what it is asked and, before each call, shows the trainer."""

    def __init__(self, trainer: AdversarialTrainer, look: Any = lambda: None) -> None:
        self.inner, self.look = trainer.objective, look
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        trainer.objective = self  # type: ignore[assignment]

    def discriminator_loss(self, *asked: Any) -> dict[str, Tensor]:
        self.calls.append(("discriminator", asked))
        self.look()
        return self.inner.discriminator_loss(*asked)

    def generator_loss(self, *asked: Any) -> dict[str, Tensor]:
        self.calls.append(("generator", asked))
        self.look()
        return self.inner.generator_loss(*asked)

    def asked(self, phase: str) -> list[tuple[Any, ...]]:
        return [asked for name, asked in self.calls if name == phase]
