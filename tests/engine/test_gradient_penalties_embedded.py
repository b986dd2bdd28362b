"""Penalties at an embedding equal the dense ones at the one-hot input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.core.rng import keyed_rng
from multigan.engine.objective import Objective
from tests.engine.test_gradient_penalties import GAMMA, batch_of
from tests.toy_domain import draw_weights


class TextDiscriminator(nn.Module):
    """One-hot text (B, T, V) to logits (B, T) by an embedding matrix and two layers."""

    uses_batch_statistics = False

    def __init__(self, vocabulary: int = 7, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Linear(vocabulary, width, bias=False)
        self.body = nn.Conv1d(width, 6, 3, padding=1)
        self.head = nn.Linear(6, 1)
        self.double()
        draw_weights(self, "text")

    def embed(self, x: Tensor) -> Tensor:
        return self.embedding(x)  # (B, T, W)

    def score(self, e: Tensor, condition: Any = None) -> Any:
        h = (2 * self.body(e.mT).tanh()).mT  # (B, T, 6)
        logits = 2 * self.head(h.tanh()).squeeze(2)  # (B, T)
        return logits if condition is None else (logits, condition)

    def squared_input_norm(self, slope: Tensor) -> Tensor:
        gram = self.embedding.weight @ self.embedding.weight.T  # (W, W)
        return torch.einsum("btw,wu,btu->b", slope, gram, slope)

    def forward(self, x: Tensor, condition: Any = None) -> Any:
        return self.score(self.embed(x), condition)


class Dense(nn.Module):
    """The same network without its embedding trio: penalties are taken at the one-hot input."""

    uses_batch_statistics = False

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, condition: Any = None) -> Any:
        return self.inner(x, condition)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("names", [("r1", "r2"), ("wgan_gp",), ("one_sided_gp",), ("dragan",)])
def test_penalties_at_the_embedding_equal_the_dense_ones(names, weighted):
    network = TextDiscriminator()
    tokens = torch.randint(7, (3, 5), generator=keyed_rng("tokens"))
    real = nn.functional.one_hot(tokens, 7).double()
    fake = batch_of(3, (5, 7), "fake").softmax(2)
    weights = (torch.arange(5) < torch.tensor([[5], [3], [1]])).double() if weighted else None

    def run(discriminator: nn.Module) -> tuple[dict[str, Tensor], list[Tensor]]:
        gammas = dict.fromkeys(names, GAMMA)
        objective = Objective(discriminator, "relativistic", gammas)
        found = objective.discriminator_loss(real, fake, weights, gammas, keyed_rng(0))
        parameters = list(network.parameters())
        slopes = torch.autograd.grad(found["loss/discriminator"], parameters)
        return {key: value.detach() for key, value in found.items()}, list(slopes)

    at_embedding, dense = run(network), run(Dense(network))
    assert dense[0][f"penalty/{names[0]}"] > 1e-3
    torch.testing.assert_close(at_embedding[0], dense[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(at_embedding[1], dense[1], rtol=1e-7, atol=1e-9)


def test_an_embedding_and_an_augmentation_refuse_each_other():
    with pytest.raises(ValueError, match="taken at its embedding"):
        Objective(TextDiscriminator(), "wasserstein", {"r1": 1.0}, lambda x, c, rng: (x, c))
    Objective(TextDiscriminator(), "wasserstein", {}, lambda x, c, rng: (x, c))
