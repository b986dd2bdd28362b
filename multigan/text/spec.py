"""The format of one text sample: a line of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from multigan.core.protocols import Condition, Latent, SupportsInterpolation
from multigan.text.tokenization.tokenizer import SpecialIds, TextTokenizer, load_tokenizer


@runtime_checkable
class SupportsTokenLikelihood(Protocol):
    """A generator that tells the probability of each token of a line."""

    def token_log_likelihood(
        self, tokens: Tensor, condition: Condition = None, temperature: float = 1.0
    ) -> Tensor:
        """Log-probability (B, T), in nats, of each token (B, T); 0 after the end."""
        ...


@runtime_checkable
class SupportsLineEncoding(SupportsInterpolation, Protocol):
    """A generator with a latent of the whole line: shows in an evaluation if lines depend on it.

    `interpolate` changes that latent alone.
    """

    def generate(self, latent: Latent, condition: Condition = None) -> Tensor:
        """Tokens (B, T) int64."""
        ...

    def encode_lines(self, tokens: Tensor, condition: Condition = None) -> tuple[Tensor, Tensor]:
        """Means and logarithms of the variances (B, Z) of the latent, given lines (B, T).

        The posterior is a diagonal Gaussian, the prior a standard one.
        """
        ...


@dataclass(frozen=True)
class TextSpec:
    """Lines of at most `length` - 1 tokens and their end, in the vocabulary of a tokenizer.json.

    `class_names` are the names of the labels, if there are any. Raises ValueError for an invalid
    tokenizer, or a length below 2.
    """

    tokenizer: str = field(repr=False)
    length: int
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        load_tokenizer(self.tokenizer)
        if self.length < 2:
            raise ValueError(
                f"length must be 2 or more, a token and the end of the line; got {self.length}"
            )

    @property
    def tokenizer_model(self) -> TextTokenizer:
        """The tokenizer, built once and shared."""
        return load_tokenizer(self.tokenizer)

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens, specials included."""
        return self.tokenizer_model.size

    @property
    def special_ids(self) -> SpecialIds:
        """The ids of padding, the begin and the end of a line, and unknown text."""
        return self.tokenizer_model.special_ids

    def encode(self, lines: list[str]) -> Tensor:
        """Encode lines as tokens (N, T) int64: each line, its end, padding.

        A line that does not fit is truncated and has no end.
        """
        tokens = torch.full((len(lines), self.length), self.special_ids.pad, dtype=torch.int64)
        for row, ids in zip(tokens, self.tokenizer_model.encode(lines), strict=True):
            fitting = torch.tensor([*ids, self.special_ids.eos][: self.length])
            row[: len(fitting)] = fitting
        return tokens

    def decode(self, x: Tensor) -> list[str]:
        """Decode (B, T, V): at each position the token with the largest entry."""
        return [self.tokenizer_model.decode(line) for line in x.detach().argmax(-1).tolist()]
