"""Means of what the trainer yields between two log lines; nothing leaves the device before then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Meter:
    """Sums tensors on the device and keeps the last of each number."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Take in the values of one step."""
        for name, value in values.items():
            if not isinstance(value, Tensor):
                self._numbers[name] = value
            elif name in self._sums:
                self._sums[name] += value
                self._counts[name] += 1
            else:
                self._sums[name], self._counts[name] = value.clone(), 1

    def read(self) -> dict[str, float]:
        """Means since the last reading, and the last numbers; starts anew."""
        means = {name: total.item() / self._counts[name] for name, total in self._sums.items()}
        means |= self._numbers
        self.__init__()  # type: ignore[misc]
        return means

    def state(self) -> dict[str, Any]:
        """For a checkpoint between two log lines."""
        return {
            "sums": {name: total.cpu() for name, total in self._sums.items()},
            "counts": dict(self._counts),
            "numbers": dict(self._numbers),
        }

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue where `state()` was taken."""
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._counts, self._numbers = dict(state["counts"]), dict(state["numbers"])
