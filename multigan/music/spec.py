"""Specification of one music sample: voices, bars, time signature and time grid."""

from __future__ import annotations

from dataclasses import dataclass

from multigan.music.formats.song import NOTE_VALUES, TICKS_PER_QUARTER, TimeSignature
from multigan.music.representations.time_grid import TimeGrid
from multigan.music.representations.voices import SATB, Voice


@dataclass(frozen=True)
class MusicSpec:
    """Windows of `bars` bars of named voices in one time signature ("4/4") on a grid of steps.

    Raises ValueError for an invalid time signature, or if bars or beats are no whole steps.
    """

    voices: tuple[Voice, ...] = SATB
    bars: int = 2
    time_signature: str = "4/4"
    steps_per_quarter: int = 4

    def __post_init__(self) -> None:
        names = [voice.name for voice in self.voices]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"voices must be one or more with distinct names; got {names}")
        if self.bars < 1 or self.steps_per_quarter < 1:
            raise ValueError(
                "bars and steps_per_quarter must be 1 or more; "
                f"got {self.bars} and {self.steps_per_quarter}"
            )
        signature = self.signature
        uneven = TICKS_PER_QUARTER % self.steps_per_quarter
        if (
            uneven
            or signature.bar_ticks % self.step_ticks
            or signature.beat_ticks % self.step_ticks
        ):
            raise ValueError(
                f"steps_per_quarter must divide the bars and beats of {self.time_signature} into "
                f"whole steps; got {self.steps_per_quarter}"
            )

    @property
    def signature(self) -> TimeSignature:
        """The time signature as numbers, from tick 0 on."""
        counts, _, unit = self.time_signature.partition("/")
        if not (
            counts.isdecimal() and unit.isdecimal() and int(counts) and int(unit) in NOTE_VALUES
        ):
            raise ValueError(
                f"time_signature must be a fraction such as 4/4 or 6/8; got {self.time_signature!r}"
            )
        return TimeSignature(0, int(counts), int(unit))

    @property
    def step_ticks(self) -> int:
        """Ticks per step."""
        return TICKS_PER_QUARTER // self.steps_per_quarter

    @property
    def grid(self) -> TimeGrid:
        """Steps per bar, beat and quarter, and bars per window."""
        bar, beat = self.signature.bar_ticks, self.signature.beat_ticks
        return TimeGrid(
            bar // self.step_ticks, beat // self.step_ticks, self.steps_per_quarter, self.bars
        )

    @property
    def hop_steps(self) -> int:
        """Steps between the starts of consecutive windows of a long song."""
        return max(1, self.bars // 2) * self.grid.bar_steps
