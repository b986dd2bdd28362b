"""Count models: the next token as often as it followed the last ones. No training, no smoothing.

They are the baselines that a text generator must be held against: sharpened ones beat many
networks in BLEU, and it is only their diversity and their copying that tells.
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
    """The n-grams of some lines; n-1 start marks stand before a line and an end mark after it."""

    def __init__(self, lines: Sequence[Sequence[Token]], order: int) -> None:
        """Raises ValueError if the order is below 1 or there is no line."""
        if order < 1 or not lines:
            raise ValueError(f"order {order}, {len(lines)} lines; wanted 1 or more of each")
        self.order = order
        self.counts: dict[tuple, Counter] = defaultdict(Counter)  # context -> next token or None
        for line in lines:
            padded = [*self._start, *line, None]
            for place in range(order - 1, len(padded)):
                self.counts[tuple(padded[place - order + 1 : place])][padded[place]] += 1

    def sample(
        self, n: int, rng: torch.Generator, longest: int, alpha: float = 1.0
    ) -> list[list[Token]]:
        """Draw `n` lines of at most `longest` tokens; the next one in proportion to count^alpha.

        Raises ValueError if `alpha` is not positive.
        """
        if not alpha > 0:
            raise ValueError(f"alpha is {alpha}; wanted more than 0")
        tables = {
            context: (list(following), list(accumulate(c**alpha for c in following.values())))
            for context, following in self.counts.items()
        }
        draws = torch.rand(n, longest, generator=rng, dtype=torch.float64).tolist()
        return [self._walk(tables, line) for line in draws]

    def _walk(self, tables: dict, draws: Sequence[float]) -> list[Token]:
        """One line, a draw in [0, 1) for each of its tokens."""
        line: list = list(self._start)
        for draw in draws:
            tokens, sums = tables[tuple(line[len(line) - self.order + 1 :])]
            token = tokens[min(bisect_right(sums, draw * sums[-1]), len(tokens) - 1)]
            if token is None:
                break
            line.append(token)
        return line[self.order - 1 :]

    @property
    def _start(self) -> list[None]:
        return [None] * (self.order - 1)
