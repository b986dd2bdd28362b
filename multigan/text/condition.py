"""The condition of a line of text: its beginning and its class."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class TextCondition(NamedTuple):
    """A prompt and a label for each line; positions of the prompt with padding are free."""

    prompt: Tensor  # (B, T) int64, padding at free positions
    label: Tensor  # (B,) int64, 0 without classes


def no_condition(n: int, length: int, pad: int) -> TextCondition:
    """The condition of `n` lines of `length` tokens that leaves everything free."""
    return TextCondition(
        torch.full((n, length), pad, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)
    )
