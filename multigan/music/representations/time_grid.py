"""Time grids: steps a beat, beats a bar, bars a window."""

from __future__ import annotations

from typing import NamedTuple

STEPS_PER_BEAT = 4  # sixteenths
STEPS_PER_BAR = 16  # of 4/4
SIXTEENTHS_PER_QUARTER = 4


class TimeGrid(NamedTuple):
    """What a window's steps are: a beat of 6/8 on a grid of sixteenths has 6 of them."""

    bar_steps: int = STEPS_PER_BAR
    beat_steps: int = STEPS_PER_BEAT
    quarter_steps: int = SIXTEENTHS_PER_QUARTER

    @property
    def eighth_steps(self) -> int:
        """The least number of steps that last an eighth."""
        return -(-self.quarter_steps // 2)


SIXTEENTHS = TimeGrid()  # of 4/4: what the published rows are measured on


class WindowGrid(NamedTuple):
    """The size of a window: T = bars x bar_steps steps of K voices; beats divide bars."""

    bars: int
    bar_steps: int
    beat_steps: int
    voices: int

    @property
    def steps(self) -> int:
        """T."""
        return self.bars * self.bar_steps
