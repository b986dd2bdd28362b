"""Timing of imported songs: offsets removed, live performances, swing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from multigan.music.datasets.beat_alignment import is_swung
from multigan.music.datasets.song_reading import FileReading

CLOSE = 0.012  # beats: a mean onset error of notes that were written on a grid


def timing_report(readings: Sequence[FileReading]) -> dict[str, Any]:
    """Return figures of the timing of files that were read, as JSON.

    Errors are mean distances in beats from the nearest sixteenth or triplet sixteenth.
    """
    read = [reading for reading in readings if reading.song is not None]
    shifted = [reading.alignment for reading in read if reading.alignment.offset_ticks]
    written = [reading.alignment for reading in read if reading.tracking is None]
    tracked = [reading.tracking for reading in readings if reading.tracking is not None]
    swings = [reading.swing for reading in read if reading.swing is not None]
    swung = [swing for swing in swings if is_swung(swing)]
    return {
        "shifted": len(shifted),
        "error_before": _mean([found.error_before for found in shifted]),
        "error_after": _mean([found.error_after for found in shifted]),
        "close_share": _mean([float(found.error_after <= CLOSE) for found in written]),
        "tracked": len(tracked),
        "clear": sum(found.is_clear for found in tracked),
        "tracked_error": _mean([found.error for found in tracked]),
        "chance_error": _mean([found.chance_error for found in tracked]),
        "swung": len(swung),
        "swing": median(swung) if swung else None,
        "straightened": sum(reading.is_straightened for reading in read),
    }


def timing_lines(timing: Mapping[str, Any]) -> list[str]:
    """Return the lines that a person sees; none for the report of an older import."""
    if not timing:
        return []
    lines = []
    if timing["shifted"]:
        lines.append(
            f"beats: an offset was removed from {timing['shifted']:,} songs, whose mean onset "
            f"error fell from {timing['error_before']:.3f} to {timing['error_after']:.3f} beats; "
            f"{timing['close_share']:.1%} of all songs are within {CLOSE}"
        )
    if timing["tracked"]:
        lines.append(
            f"live timing: beats were tracked in {timing['tracked']:,} songs, and those of "
            f"{timing['clear']:,} ({timing['clear'] / timing['tracked']:.0%}) explain the onsets "
            f"clearly better than chance: mean error {timing['tracked_error']:.2f} of that of "
            f"uniform onsets, {timing['chance_error']:.2f} with shuffled intervals"
        )
    if timing["swung"]:
        kept = "kept by the grid"
        if timing.get("straightened"):
            kept = (
                "read as even ones; sample with --swing "
                f"{timing['swing']:.2f} to play them, or import with --grid 12 to keep them"
            )
        lines.append(
            f"swing: {timing['swung']:,} songs have swung eighths, the second at "
            f"{timing['swing']:.2f} of a beat; they are {kept}"
        )
    return lines


def _mean(values: Sequence[float]) -> float | None:
    return mean(values) if values else None
