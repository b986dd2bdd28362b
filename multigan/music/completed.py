"""A song part of which was given before a generator wrote the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from multigan.music.song import Song


class Stretch(NamedTuple):
    """A stretch of a track, from `start_tick` (included) to `end_tick` (not included)."""

    track: str
    start_tick: int
    end_tick: int


@dataclass(frozen=True)
class CompletedSong(Song):
    """A song that knows which stretches of its tracks were given; a window of it does not."""

    given: tuple[Stretch, ...] = ()

    def window(self, start_tick: int, end_tick: int) -> Song:
        """What sounds between two ticks; see `Song.window`."""
        return replace(super().window(start_tick, end_tick), given=())  # type: ignore[call-arg]


def given_stretches(song: Song) -> tuple[Stretch, ...]:
    """What was given of a song: nothing of one that was drawn or read."""
    return song.given if isinstance(song, CompletedSong) else ()
