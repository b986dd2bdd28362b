"""Stretches of songs that a dataset uses, and counts of what it uses and leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from multigan.core.data_counts import CHANGED, LEFT_OUT, USED, DataCounts
from multigan.music.datasets.sources import Splits
from multigan.music.formats.song import Song
from multigan.music.representations.bars import can_read_as, read_bars_as
from multigan.music.representations.pianoroll import GridChanges, grid_changes
from multigan.music.spec import MusicSpec


def stretches(song: Song, spec: MusicSpec) -> Iterator[Song]:
    """Yield the neighboring full bars in the time signature of `spec`, a window long or longer.

    Bars that can be read as bars of that time signature are.
    """
    song = read_bars_as(song, spec.signature)
    found: list[tuple[int, int]] = []
    for start, end in song.bar_windows(1, time_signature=spec.signature[1:]):
        goes_on = bool(found) and found[-1][1] == start
        found = [*found[:-1], (found[-1][0], end)] if goes_on else [*found, (start, end)]
    window = spec.bars * spec.signature.bar_ticks
    return (song.window(start, end) for start, end in found if end - start >= window)


def count_songs(splits: Splits, spec: MusicSpec, unit: str) -> DataCounts:
    """Count the songs that windows of `spec` are cut from, and their notes."""
    counts = DataCounts(unit)
    total = GridChanges()
    named: dict[str, list[str]] = {"moved": [], "lost": [], "unplaced": []}
    for songs in splits.values():
        for name, song in songs.items():
            used = list(stretches(song, spec))
            signed = ", ".join(song.time_signature_names)
            if not used:
                counts.add(LEFT_OUT, _reason(song, spec, signed), [name])
                continue
            counts.add(USED, f"with {spec.bars} bars of {spec.time_signature}", [name])
            if song.time_signature_names != [spec.time_signature]:
                counts.add(CHANGED, f"signed {signed} read as {spec.time_signature}", [name])
            found = [grid_changes(part, spec.voices, spec.steps_per_quarter) for part in used]
            own = reduce(GridChanges.plus, found, GridChanges())
            total = total.plus(own)
            counted = own._asdict()
            for field, names in named.items():
                names += [name] if counted[field] else []
    grid = f"the grid of {spec.steps_per_quarter} steps per quarter"
    for use, field, what in (
        (CHANGED, "moved", f"moved to {grid}"),
        (LEFT_OUT, "lost", f"lost on {grid}"),
        (LEFT_OUT, "unplaced", "that begin with another of a monophonic voice"),
    ):
        if count := total._asdict()[field]:
            counts.add(use, f"of {total.notes:,} notes {what}", named[field], count)
    return counts


def _reason(song: Song, spec: MusicSpec, signed: str) -> str:
    """Return why a song has no window."""
    if any(can_read_as(signature, spec.signature) for signature in song.time_signatures):
        return f"shorter than {spec.bars} bars of {spec.time_signature}"
    return f"in {signed}"
