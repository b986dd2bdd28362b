"""A generator whose samples carry no gradient is trained by its own loss on what they cost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.core.rng import keyed_rng
from multigan.engine.objective import Objective
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import IdentityDiscriminator, toy_recipe


class Chooser(nn.Module):
    """Picks (1, 0) or (0, 1): hard, so nothing flows back; its policy can still be improved."""

    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(()))
        self.asked: list[Any] = []

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.rand(n, generator=rng)

    def forward(self, latent: Tensor, condition: Any = None) -> Tensor:
        first = (latent < self.logit.sigmoid()).float()
        return torch.stack([first, 1 - first], dim=1)

    def policy_loss(self, x: Tensor, condition: Any, *paid: Any, latent: Tensor) -> Tensor:
        assert torch.equal(x, self(latent))
        costs, weights, _ = paid
        self.asked.append((x, costs, weights))
        p = self.logit.sigmoid()
        log_p = torch.where(x[:, 0] > 0, p.log(), (1 - p).log())
        return log_p * (costs * weights).sum(1)


def test_it_learns_to_choose_what_the_discriminator_takes_for_real():
    chooser = Chooser()
    trainer = AdversarialTrainer(
        toy_recipe(generator=chooser, steps=30, discriminator_lr=0.0, generator_lr=0.1)
    )
    with torch.no_grad():
        for p in trainer.discriminator.parameters():
            p.zero_()
        trainer.discriminator.body[0].weight[0] = torch.tensor([1.0, -1.0])
        trainer.discriminator.body[3].weight[0, 0] = 2.0
        trainer.discriminator.head.weight[0, 0] = 3.0
    steps = list(trainer.steps())
    assert chooser.logit > 1
    assert float(steps[-1].values["loss/generator_adversarial"]) < float(
        steps[0].values["loss/generator_adversarial"]
    )


@pytest.mark.parametrize("loss", ["nonsaturating", "relativistic", "relativistic_average"])
def test_costs_and_weights_are_those_of_the_game(loss):
    found: list[Any] = []

    def policy_loss(
        x: Tensor, condition: Any, costs: Tensor, weights: Tensor, total: Any
    ) -> Tensor:
        found.append((costs, weights))
        return torch.ones(len(x))

    real, fake = (torch.randn(4, 3, generator=keyed_rng(name)) for name in "rf")
    weights = torch.tensor([[1.0, 1.0, 0.0]]).expand(4, -1)
    objective = Objective(IdentityDiscriminator(), loss, {})
    direct = objective.generator_loss(real, fake, weights, keyed_rng(0))
    values = objective.generator_loss(real, fake, weights, keyed_rng(0), policy_loss)
    costs, counted = found[0]
    assert values["loss/generator"] == 1 and costs.shape == counted.shape == (4, 3)
    assert torch.equal(values["loss/generator_adversarial"], direct["loss/generator"])
    mean = ((costs * counted).sum(1) / counted.sum(1)).mean()
    torch.testing.assert_close(mean, direct["loss/generator"])
    assert "loss/generator_adversarial" not in direct
