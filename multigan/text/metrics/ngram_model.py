"""N-gram models: the next token as often as it followed the last ones, without smoothing.

They are the baselines of text generators. Sharpened ones exceed many networks in BLEU, and only
their diversity and their memorization show the difference.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import torch

Token = TypeVar("Token", bound=Hashable)


class NgramModel(Generic[Token]):
    """The n-grams of lines, with n-1 start marks before each line and an end mark after it."""

    def __init__(self, lines: Sequence[Sequence[Token]], order: int) -> None:
        """Raises ValueError if the order is below 1 or there is no line."""
        if order < 1 or not lines:
            raise ValueError(
                f"order and the number of lines must be 1 or more; got {order} and {len(lines)}"
            )
        self.order = order
        self.counts: dict[tuple, Counter] = defaultdict(Counter)  # context -> next token or None
        for line in lines:
            padded = [*self._start, *line, None]
            for t in range(order - 1, len(padded)):
                self.counts[tuple(padded[t - order + 1 : t])][padded[t]] += 1

    def sample(
        self, n: int, rng: torch.Generator, max_length: int, sharpening: float = 1.0
    ) -> list[list[Token]]:
        """Sample `n` lines of at most `max_length` tokens, in proportion to count^sharpening.

        Raises ValueError if `sharpening` is not positive.
        """
        if not sharpening > 0:
            raise ValueError(f"sharpening must be above 0; got {sharpening}")
        tables = {
            context: (list(following), list(accumulate(c**sharpening for c in following.values())))
            for context, following in self.counts.items()
        }
        uniforms = torch.rand(n, max_length, generator=rng, dtype=torch.float64).tolist()
        return [self._sample_line(tables, line) for line in uniforms]

    def _sample_line(self, tables: dict, uniforms: Sequence[float]) -> list[Token]:
        """One line, from a uniform number in [0, 1) for each of its tokens."""
        line: list = list(self._start)
        for uniform in uniforms:
            tokens, sums = tables[tuple(line[len(line) - self.order + 1 :])]
            token = tokens[min(bisect_right(sums, uniform * sums[-1]), len(tokens) - 1)]
            if token is None:
                break
            line.append(token)
        return line[self.order - 1 :]

    @property
    def _start(self) -> list[None]:
        return [None] * (self.order - 1)
