"""Meaning and goal of the metrics of a domain."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from multigan.core.serialization import domain_table

LOWER, HIGHER, DATA = "lower", "higher", "data"
ARROWS = {LOWER: "↓", HIGHER: "↑"}


class MetricInfo(NamedTuple):
    """The meaning of a metric, and its goal.

    `goal` is LOWER (down to the row of real data), HIGHER, DATA (equal to real data) or the best
    value in words.
    """

    meaning: str
    goal: str = DATA

    @property
    def arrow(self) -> str:
        """An arrow to better values; empty where neither direction is better."""
        return ARROWS.get(self.goal, "")

    @property
    def target(self) -> str:
        """The goal as a phrase: "lower is better", "best: 1"."""
        if self.goal == DATA:
            return "best: the value of real data"
        return f"{self.goal} is better" if self.goal in ARROWS else f"best: {self.goal}"


def metric_infos(domain: str) -> Mapping[str, MetricInfo]:
    """Return the table METRICS of a domain, by name or pattern (`bleu_*`). Imports no torch."""
    return domain_table(domain, "METRICS")  # type: ignore[return-value]


def find_metric(infos: Mapping[str, MetricInfo], name: str) -> MetricInfo | None:
    """Return the entry of a metric, by its name or the first pattern that fits; None without."""
    if name in infos:
        return infos[name]
    return next((info for key, info in infos.items() if fnmatchcase(name, key)), None)
