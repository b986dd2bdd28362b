"""A line that knows how likely its generator finds it."""

from __future__ import annotations

import math
from collections.abc import Sequence


class ScoredText(str):
    """A string with the tokens that were sampled (a prompt's are not) and their log-probabilities.

    `log_probabilities` are in nats, one for each of `tokens`, the end of the line included.
    """

    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]

    def __new__(
        cls, text: str, tokens: Sequence[str], log_probabilities: Sequence[float]
    ) -> ScoredText:
        """Raises ValueError if there are not as many log-probabilities as tokens."""
        if len(tokens) != len(log_probabilities):
            raise ValueError(f"{len(tokens)} tokens, {len(log_probabilities)} log-probabilities")
        scored = super().__new__(cls, text)
        scored.tokens, scored.log_probabilities = tuple(tokens), tuple(log_probabilities)
        return scored

    @property
    def log_probability(self) -> float:
        """Of all sampled tokens together, in nats."""
        return math.fsum(self.log_probabilities)
