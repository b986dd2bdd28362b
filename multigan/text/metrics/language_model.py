"""Helper language models that score and embed lines.

One small LSTM over the tokens. Trained on real lines it scores samples (LM) and embeds lines.
Trained on samples it scores real lines (reverse LM), which detects missing modes.
Source: Zhao et al. 2018, arXiv:1706.04223 (reverse); Caccia et al. 2020, arXiv:1811.02549.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.evaluation_size import evaluation_iterations
from multigan.core.fitting import build_with_seed, fit
from multigan.core.modules import device_of
from multigan.text.models.adaptive_embedding import AdaptiveEmbedding
from multigan.text.tokenization.tokenizer import SPECIAL_IDS

EMBEDDING, WIDTH = 64, 64
MAX_PLAIN_VOCABULARY = 5000  # a larger one has an adaptive embedding
FREQUENT, TAIL_WIDTH = 1000, 16  # tokens of its first level; size of the embedding of the others
DROPOUT = 0.2
TRAIN_BATCH_SIZE = 64
LR = 8e-3
EPOCHS, MAX_STEPS = 8, 1500
SCORE_BATCH_SIZE = 256


class LanguageModel(nn.Module):
    """P(token | previous tokens): one LSTM of WIDTH units, tied embeddings of EMBEDDING."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.is_adaptive = vocabulary_size > MAX_PLAIN_VOCABULARY
        self.embedding: Any = nn.Embedding(vocabulary_size, EMBEDDING)
        if self.is_adaptive:
            sizes = (vocabulary_size, EMBEDDING, FREQUENT, TAIL_WIDTH)
            self.embedding = AdaptiveEmbedding(*sizes)
        self.dropout = nn.Dropout(DROPOUT)
        self.lstm = nn.LSTM(EMBEDDING, WIDTH, batch_first=True)
        self.to_embedding = nn.Linear(WIDTH, EMBEDDING)
        if not self.is_adaptive:
            self.bias = nn.Parameter(torch.zeros(vocabulary_size))
            nn.init.normal_(self.embedding.weight, std=EMBEDDING**-0.5)

    def hidden(self, tokens: Tensor) -> Tensor:
        """The state (B, T, WIDTH) from which each of the tokens (B, T) is predicted."""
        previous = F.pad(tokens[:, :-1], (1, 0), value=SPECIAL_IDS.bos)
        return self.lstm(self.dropout(self.embedding(previous)))[0]

    def forward(self, tokens: Tensor) -> Tensor:
        """The negative log-likelihood (B, T) in nats of tokens (B, T), 0 at padding."""
        valid = tokens != SPECIAL_IDS.pad
        states = self.to_embedding(self.dropout(self.hidden(tokens)[valid]))  # (valid, EMBEDDING)
        if self.is_adaptive:
            no_mask = states.new_zeros(len(self.embedding.weight))
            found = -self.embedding.log_probability(states, tokens[valid], no_mask)
        else:
            logits = F.linear(states, self.embedding.weight, self.bias)  # (valid, V)
            found = F.cross_entropy(logits, tokens[valid], reduction="none")
        losses = torch.zeros(tokens.shape, device=tokens.device, dtype=found.dtype)
        losses[valid] = found
        return losses


class LMScore(NamedTuple):
    """NLL of all tokens together in nats, ends included, and their number."""

    nats: float
    tokens: int

    @property
    def per_token(self) -> float:
        """Mean negative log-likelihood of a token."""
        return self.nats / self.tokens


def train_language_model(
    tokens: Tensor, vocabulary_size: int, rng: torch.Generator, device: str | torch.device = "cpu"
) -> LanguageModel:
    """Train a language model on lines (N, T) int64, padded after their end.

    Training takes EPOCHS epochs, but at most MAX_STEPS batches. Equal arguments give equal weights.
    """
    model = build_with_seed(lambda: LanguageModel(vocabulary_size), rng).to(device)
    lines = tokens.to(device)

    def batches(rng: torch.Generator) -> Tensor:
        return lines[torch.randint(len(lines), (TRAIN_BATCH_SIZE,), generator=rng).to(device)]

    def loss(model: LanguageModel, batch: Tensor) -> Tensor:
        return model(batch).sum() / (batch != SPECIAL_IDS.pad).sum()

    steps = min(evaluation_iterations(MAX_STEPS), max(1, EPOCHS * len(lines) // TRAIN_BATCH_SIZE))
    return fit(model, loss, batches, steps, LR, rng)


def score(model: LanguageModel, tokens: Tensor) -> LMScore:
    """Score lines (N, T) int64."""
    device = device_of(model)
    with torch.no_grad():
        sums = [model(batch.to(device)).sum().item() for batch in tokens.split(SCORE_BATCH_SIZE)]
    return LMScore(sum(sums), int((tokens != SPECIAL_IDS.pad).sum()))


def features(model: LanguageModel, tokens: Tensor) -> Tensor:
    """Embed lines (N, T) as the mean state (N, WIDTH), float64, over their tokens."""
    device = device_of(model)
    means = []
    with torch.no_grad():
        for batch in tokens.split(SCORE_BATCH_SIZE):
            valid = (batch != SPECIAL_IDS.pad)[..., None].to(device)
            states = model.hidden(batch.to(device)) * valid
            means.append((states.sum(1) / valid.sum(1).clamp(min=1)).cpu().double())
    return torch.cat(means)
