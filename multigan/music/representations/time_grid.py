"""Time grid: steps per quarter, beat and bar, and the bars of a window."""

from __future__ import annotations

from typing import NamedTuple

STEPS_PER_BEAT = 4  # sixteenths
GRIDS = (4, 6, 8, 12, 24)  # steps per quarter that can be chosen
STEPS_PER_BAR = 16  # of 4/4
SIXTEENTHS_PER_QUARTER = 4
BARS_PER_WINDOW = 2


class TimeGrid(NamedTuple):
    """Steps per bar, beat and quarter, and bars per window; beats divide bars.

    A beat of 6/8 on a grid of sixteenths has 6 steps.
    """

    bar_steps: int = STEPS_PER_BAR
    beat_steps: int = STEPS_PER_BEAT
    quarter_steps: int = SIXTEENTHS_PER_QUARTER
    bars: int = BARS_PER_WINDOW

    @property
    def steps(self) -> int:
        """Steps per window, T."""
        return self.bars * self.bar_steps

    @property
    def eighth_steps(self) -> int:
        """Smallest number of steps that lasts an eighth note."""
        return -(-self.quarter_steps // 2)


SIXTEENTHS = TimeGrid()  # two bars of 4/4: the grid of the published tables
