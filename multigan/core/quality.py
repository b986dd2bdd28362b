"""The figure that sums up the quality of a generator, next to its floor and a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

CLOSE = 0.05  # of the way from the floor to the baseline: a value that near the floor is as good,
CLOSE_TO_FLOOR = 0.5  # unless it exceeds a positive floor by this fraction of it
TIE = 0.02  # likewise: a value that near the baseline is no better
UNCLEAR_FLOOR = 0.9  # of the baseline: with a floor beyond it no value says much


class Quality(NamedTuple):
    """A metric of a generator, lower is better, and the rows that it is compared with.

    `floor` is the value of real data, `baseline` that of a model without a network; nan where a
    table has no such row.
    """

    metric: str
    value: float
    floor: float = math.nan
    baseline: float = math.nan
    floor_name: str = ""
    baseline_name: str = ""

    @property
    def margin(self) -> float:
        """The distance from the floor to the baseline; nan if either is unknown."""
        return self.baseline - self.floor

    @property
    def is_unclear(self) -> bool:
        """True for a floor so near the baseline that no value says much."""
        return self.margin > 0 and self.floor > UNCLEAR_FLOOR * self.baseline

    @property
    def beats_baseline(self) -> bool | None:
        """True for a value below the baseline; None if there is nothing to judge by."""
        if not self.margin > 0 or self.is_unclear:
            return None
        return self.value < self.baseline - TIE * self.margin

    @property
    def conclusion(self) -> str:
        """The place of the value between floor and baseline, in words; empty without a baseline."""
        if self.is_unclear:
            return (
                "Other real data are hardly nearer to the data than the baseline: too few or too "
                "different items to judge by."
            )
        if self.beats_baseline is None:
            return ""
        limit = CLOSE * self.margin
        if self.floor > 0:  # however far the baseline is
            limit = min(limit, CLOSE_TO_FLOOR * self.floor)
        if self.value <= self.floor + limit:
            return "As near to the data as other real data."
        if self.beats_baseline:
            return "Better than the baseline, not yet as near to the data as other real data."
        return "No better than the baseline. Try more steps or a larger network."

    @property
    def figures(self) -> str:
        """The value, the floor and the baseline, with their names."""
        parts = [f"{readable(self.metric)} {self.value:.3g}"]
        if math.isfinite(self.floor):
            parts.append(f"{self.floor_name} {self.floor:.3g}")
        if math.isfinite(self.baseline):
            parts.append(f"{self.baseline_name}, without a network, {self.baseline:.3g}")
        return "; ".join(parts)

    @property
    def sentence(self) -> str:
        """Figures and conclusion."""
        return f"{self.figures}. {self.conclusion}".rstrip()


def quality_of(
    rows: Mapping[str, Mapping[str, Any]], headline: str, floor: str = "", baseline: str = ""
) -> Quality | None:
    """Return the metric `headline` of the last row, next to the rows called floor and baseline.

    Without a name the floor is the first row whose name begins with `real`. None if the last row
    lacks the metric.
    """
    value = _number(rows[list(rows)[-1]].get(headline)) if rows else math.nan
    if not math.isfinite(value):
        return None
    floor = floor or next((name for name in rows if name.startswith("real")), "")
    of_floor, of_baseline = (
        _number(rows.get(name, {}).get(headline)) for name in (floor, baseline)
    )
    return Quality(headline, value, of_floor, of_baseline, floor, baseline)


def readable(metric: str) -> str:
    """`frechet_distance` as `Frechet distance`."""
    words = metric.replace("_", " ")
    return words[:1].upper() + words[1:]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
