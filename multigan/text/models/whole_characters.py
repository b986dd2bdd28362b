"""Sampling of tokens that are parts of characters, so that no character is broken."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.text.models.token_sampling import SamplingParams, filter_logits, sample_tokens
from multigan.text.tokenization.utf8 import COMPLETE, IMPOSSIBLE, MISSING_BYTES


class WholeCharacters:
    """The state of UTF-8 of each of B lines while their tokens are sampled.

    A token is possible if its bytes can follow, and what it leaves missing fits into the line.
    Only lines with an impossible token are sampled again, among the possible ones: the others are
    what they are without this class.
    """

    def __init__(self, transitions: Tensor, num_lines: int) -> None:
        """`transitions` (states, V): the state after each token, or IMPOSSIBLE."""
        self._after = transitions
        self._state = transitions.new_full((num_lines,), COMPLETE)
        is_impossible = transitions == IMPOSSIBLE
        self._missing = transitions.new_tensor(MISSING_BYTES)[transitions.clamp_min(0)]
        self._missing[is_impossible] = torch.iinfo(transitions.dtype).max

    def broken(self, token: Tensor, free: Tensor, remaining: int) -> Tensor:
        """The indices (N,) of the `free` lines whose token (B,) is impossible.

        `remaining` positions follow. A line that no token can continue is left as it is: the
        vocabulary lacks a byte.
        """
        rows = (free & (self._missing[self._state, token] > remaining)).nonzero().squeeze(1)
        return rows[~self._impossible(rows, remaining).all(1)]

    def sample_again(
        self, token: Tensor, rows: Tensor, logits: Tensor, uniform: Tensor,
        controls: SamplingParams, remaining: int,
    ) -> None:  # fmt: skip
        """Replace the tokens of the broken `rows` (N,) in place.

        The quantile inside the interval of the impossible token is that of the new one. Without
        top-k and top-p the distribution is therefore that of the possible tokens. With them a
        possible token keeps its probability among the kept tokens, and the probability of the
        impossible ones goes to the possible tokens by top-k and top-p of those. `token` and
        `uniform` (B,) are the tokens and their quantiles, `logits` (N, V) those of the rows before
        the controls; `remaining` positions follow.
        """
        filtered = filter_logits(logits, *controls)
        quantile = _position_inside(filtered, token[rows], uniform[rows])
        possible = logits.masked_fill(self._impossible(rows, remaining), float("-inf"))
        token[rows] = sample_tokens(filter_logits(possible, *controls), quantile)

    def _impossible(self, rows: Tensor, remaining: int) -> Tensor:
        """The impossible tokens (N, V) of the lines."""
        return self._missing[self._state[rows]] > remaining

    def advance(self, token: Tensor, unfinished: Tensor) -> None:
        """Follow the tokens (B,) of the unfinished lines."""
        after = self._after[self._state, token]
        self._state = torch.where(unfinished & (after != IMPOSSIBLE), after, COMPLETE)


def _position_inside(logits: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
    """The position (N,) in [0, 1) of a quantile inside the interval of the token that it chose."""
    shares = logits.double().softmax(-1)
    share = shares.gather(1, token[:, None]).squeeze(1)
    before = shares.cumsum(-1).gather(1, token[:, None]).squeeze(1) - share
    position = (uniform.double() - before) / share.clamp_min(torch.finfo(share.dtype).tiny)
    return position.clamp(0, 1 - 2**-24).to(uniform.dtype)
