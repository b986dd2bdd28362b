"""Helper language models: how likely are lines, and where do they lie?

One small LSTM over the tokens of the domain. Trained on real lines it scores samples (LM) and
embeds lines; trained on samples it scores real lines (reverse LM), which finds missing modes.
Source: Zhao et al. 2018, arXiv:1706.04223 (reverse); Caccia et al. 2020, arXiv:1811.02549.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.fitting import build_with_seed, fit
from multigan.core.modules import device_of
from multigan.text.tokenization.tokenizer import BOS, PAD

EMBEDDING, WIDTH = 64, 64
DROPOUT = 0.2
BATCH = 64
LR = 8e-3
EPOCHS, MOST_STEPS = 8, 1500
SCORED_TOGETHER = 256


class LanguageModel(nn.Module):
    """P(token | tokens before it): one LSTM of WIDTH units, tied embeddings of EMBEDDING."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, EMBEDDING)
        self.dropout = nn.Dropout(DROPOUT)
        self.lstm = nn.LSTM(EMBEDDING, WIDTH, batch_first=True)
        self.narrow = nn.Linear(WIDTH, EMBEDDING)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        nn.init.normal_(self.embedding.weight, std=EMBEDDING**-0.5)

    def hidden(self, tokens: Tensor) -> Tensor:
        """The state (B, T, WIDTH) from which each of the tokens (B, T) is predicted."""
        before = F.pad(tokens[:, :-1], (1, 0), value=BOS)
        return self.lstm(self.dropout(self.embedding(before)))[0]

    def forward(self, tokens: Tensor) -> Tensor:
        """The negative log-likelihood (B, T) in nats of tokens (B, T), 0 at padding."""
        alive = tokens != PAD
        states = self.narrow(self.dropout(self.hidden(tokens)[alive]))  # (alive, EMBEDDING)
        logits = F.linear(states, self.embedding.weight, self.bias)  # (alive, V)
        losses = torch.zeros(tokens.shape, device=tokens.device, dtype=logits.dtype)
        losses[alive] = F.cross_entropy(logits, tokens[alive], reduction="none")
        return losses


class LMScore(NamedTuple):
    """Nats of all tokens together, ends included, and how many there are."""

    nats: float
    tokens: int

    @property
    def per_token(self) -> float:
        """Mean negative log-likelihood of a token."""
        return self.nats / self.tokens


def train_language_model(
    tokens: Tensor, vocabulary: int, rng: torch.Generator, device: str | torch.device = "cpu"
) -> LanguageModel:
    """A language model of lines (N, T) int64, padded with PAD after their end.

    It sees every line EPOCHS times, or MOST_STEPS batches. Equal arguments give equal weights.
    """
    model = build_with_seed(lambda: LanguageModel(vocabulary), rng).to(device)
    lines = tokens.to(device)

    def batches(rng: torch.Generator) -> Tensor:
        return lines[torch.randint(len(lines), (BATCH,), generator=rng).to(device)]

    def loss(model: LanguageModel, batch: Tensor) -> Tensor:
        return model(batch).sum() / (batch != PAD).sum()

    steps = min(MOST_STEPS, max(1, EPOCHS * len(lines) // BATCH))
    return fit(model, loss, batches, steps, LR, rng)


def score(model: LanguageModel, tokens: Tensor) -> LMScore:
    """How likely the model finds lines (N, T) int64."""
    device = device_of(model)
    with torch.no_grad():
        parts = [model(part.to(device)).sum().item() for part in tokens.split(SCORED_TOGETHER)]
    return LMScore(sum(parts), int((tokens != PAD).sum()))


def features(model: LanguageModel, tokens: Tensor) -> Tensor:
    """Where lines (N, T) lie: the mean state (N, WIDTH), float64, over their tokens."""
    device = device_of(model)
    found = []
    with torch.no_grad():
        for part in tokens.split(SCORED_TOGETHER):
            alive = (part != PAD)[..., None].to(device)
            states = model.hidden(part.to(device)) * alive
            found.append((states.sum(1) / alive.sum(1).clamp(min=1)).cpu().double())
    return torch.cat(found)
