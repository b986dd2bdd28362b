"""Everything that a set of lines is measured by against the lines of a held-out split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from multigan import fidelity
from multigan.contract import device_of
from multigan.rng import keyed_rng
from multigan.text import metrics
from multigan.text.frontier import divergence
from multigan.text.scorers import LanguageModel, features, score, train_language_model
from multigan.text.words import split_words

if TYPE_CHECKING:
    from multigan.text.domain import TextDomain


class Yardstick(NamedTuple):
    """Held-out lines, the training lines, and the language model trained on the latter."""

    domain: TextDomain
    held: Sequence[str]
    train: Sequence[str]
    model: LanguageModel

    def measure(self, texts: Sequence[str], reverse: bool = True) -> dict[str, float]:
        """Every figure of some lines; equal lines have equal figures. See `evaluation.NOTES`."""
        words = [split_words(line) for line in texts]
        held = [split_words(line) for line in self.held]
        tokens, real = (self.domain.encode(list(side)) for side in (texts, self.held))
        here, there = features(self.model, tokens), features(self.model, real)
        frontier = divergence(there, here, keyed_rng("clusterings"))
        return {
            "lines": float(len(texts)),
            "frechet": fidelity.frechet_distance(there, here),
            **({"reverse_lm": self.reverse(tokens, real)} if reverse else {}),
            "lm": score(self.model, tokens).per_token,
            "frontier": frontier.area,
            "frontier_integral": frontier.integral,
            **metrics.bleu_figures("bleu", metrics.bleu(words, held)),
            **metrics.bleu_figures("self_bleu", metrics.self_bleu(words)),
            "distinct_2": metrics.distinct(words, 2),
            "unique": metrics.unique(words),
            "copied": metrics.copied(words, [split_words(line) for line in self.train]),
            "length_distance": metrics.length_distance(words, held),
        }

    def reverse(self, tokens: Tensor, real: Tensor) -> float:
        """Nats per token of real lines under a language model trained on `tokens` (N, T)."""
        device = device_of(self.model)
        rng = keyed_rng("reverse language model")
        model = train_language_model(tokens, self.domain.vocabulary, rng, device)
        return score(model, real).per_token


def joint(row: Mapping[str, float], floor: Mapping[str, float]) -> float:
    """Quality and diversity in one, lower is better; 0 for lines as good as real ones.

    The logarithm of how many times the Frechet distance is that of real lines, and by how many
    nats the reverse language model is worse than theirs.
    """
    if not (row["frechet"] > 0 and floor["frechet"] > 0):
        return math.nan
    excess = row["reverse_lm"] - floor["reverse_lm"]
    return math.log(row["frechet"] / floor["frechet"]) + excess
