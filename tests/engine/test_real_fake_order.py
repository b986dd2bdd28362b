"""Both sides of the game in one forward: embedded apart, compiled where no penalty is taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.core.rng import keyed_rng
from multigan.engine.objective import Objective
from tests.engine.test_objective import Counted, points
from tests.toy_domain import ToyDiscriminator


class Embedding(ToyDiscriminator):
    """A toy whose input is embedded; keeps how many samples each call has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(2, 2, bias=False)
        self.embedded: list[int] = []
        self.scored: list[int] = []

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.score(self.embed(x), condition)

    def embed(self, x: Tensor) -> Tensor:
        self.embedded.append(len(x))
        return self.enter(x)

    def score(self, e: Tensor, condition: Any = None) -> Tensor:
        self.scored.append(len(e))
        return super().forward(e, condition)

    def squared_input_norm(self, slope: Tensor) -> Tensor:
        return (slope @ self.enter.weight).square().sum(1)


@pytest.mark.parametrize("gammas", [{}, {"r1": 1.0}], ids=["no penalty", "r1"])
def test_sides_are_embedded_apart_and_judged_together(gammas):
    network = Embedding()
    objective = Objective(network, "relativistic", {"r1": 1.0})
    real, fake = points("r"), points("f")
    values = objective.discriminator_loss(real, fake, None, gammas, keyed_rng(0))
    assert network.embedded == [6, 6] and network.scored == [12]

    logits = network(torch.cat([real, fake]))
    assert values["logits/real"].item() == pytest.approx(logits[:6].mean().item(), abs=1e-6)
    assert values["logits/fake"].item() == pytest.approx(logits[6:].mean().item(), abs=1e-6)


@pytest.mark.parametrize("kind", [Counted, Embedding])
def test_what_is_compiled_runs_only_where_no_penalty_is_taken(monkeypatch, kind):
    calls = []

    def compile(judge: Any) -> Any:
        def compiled(x: Tensor, condition: Any = None) -> Tensor:
            calls.append(len(x))
            return judge(x, condition)

        return compiled

    monkeypatch.setattr(torch, "compile", compile)
    objective = Objective(kind(), "relativistic", {"r1": 1.0}, compile=True)
    objective.discriminator_loss(points("r"), points("f"), None, {"r1": 1.0}, keyed_rng(0))
    assert calls == []
    objective.discriminator_loss(points("r"), points("f"), None, {}, keyed_rng(0))
    objective.generator_loss(points("r"), points("f"), None, keyed_rng(0))
    assert calls == [12, 6, 6]
