"""What a line of text may be conditioned on: how it begins, and its class."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from multigan.text.tokenization.tokenizer import PAD


class TextCondition(NamedTuple):
    """Where `prompt` holds a token the line is given; elsewhere it is free."""

    prompt: Tensor  # (B, T) int64, PAD where free
    label: Tensor  # (B,) int64, 0 where there are no classes


def no_condition(n: int, length: int) -> TextCondition:
    """The condition of `n` lines of `length` tokens that leaves everything free."""
    return TextCondition(
        torch.full((n, length), PAD, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)
    )
