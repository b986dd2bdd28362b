"""Files that are versions of one song: in one folder of a song, or with many bars alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import PurePosixPath

from multigan.music.formats.song import TICKS_PER_QUARTER, Song
from multigan.music.representations.bars import usual_bars

ALIKE_SHARE = 0.5  # of the different bars of the shorter song
ALIKE_TRANSPOSED = 0.8  # the same, where a bar may stand in another key
ALIKE_BARS = 2  # at least, or all of them
MIN_NOTES = 4  # of a bar that is compared
MOST_FILES = 20  # of the folder of one song
FEWEST_FOLDERS = 10  # with fewer, folders are collections
MOST_SONGS = 40  # with a bar in common: a commonplace


def version_groups(songs: Mapping[str, Song]) -> list[list[str]]:
    """Return the names in groups: versions of one song share a group. Names are paths."""
    groups = _Groups(songs)
    for names in _song_folders(list(songs)):
        groups.join(names)
    bars = {name: _bars(song) for name, song in songs.items()}
    for index, share in enumerate((ALIKE_SHARE, ALIKE_TRANSPOSED)):
        same: dict[frozenset[int], list[str]] = defaultdict(list)  # however many songs they are
        for name, found in bars.items():
            same[frozenset(found[index])].append(name)
        for names in (names for shared, names in same.items() if shared):
            groups.join(names)
        for one, other in _alike({names[0]: set(shared) for shared, names in same.items()}, share):
            groups.join([one, other])
    return groups.lists()


class _Groups:
    """Disjoint sets of names."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._group = {name: [name] for name in names}

    def join(self, names: Sequence[str]) -> None:
        """Put the groups of the names together."""
        for name in names[1:]:
            one, other = self._group[names[0]], self._group[name]
            if one is not other:
                one += other
                self._group |= {moved: one for moved in other}

    def lists(self) -> list[list[str]]:
        """Return the groups in the order of their first names."""
        found = {id(group): sorted(group) for group in self._group.values()}
        return sorted(found.values())


def _song_folders(names: Sequence[str]) -> list[list[str]]:
    """Return the names of each folder that holds one song: the outermost one with files itself."""
    below: dict[PurePosixPath, list[str]] = defaultdict(list)
    with_files = {PurePosixPath(name).parent for name in names} - {PurePosixPath(".")}
    for name in names:
        outer = [folder for folder in PurePosixPath(name).parents if folder in with_files]
        if outer:
            below[outer[-1]].append(name)
    folders = [found for found in below.values() if len(found) <= MOST_FILES]
    return folders if len(folders) >= FEWEST_FOLDERS else []


def _alike(bars: Mapping[str, set[int]], share: float) -> list[tuple[str, str]]:
    """Return the pairs of songs with at least `share` of the bars of the shorter in common."""
    holders: dict[int, list[str]] = defaultdict(list)
    for name, found in bars.items():
        for bar in found:
            holders[bar].append(name)
    shared: Counter[tuple[str, str]] = Counter()
    for names in holders.values():
        if 1 < len(names) <= MOST_SONGS:
            shared.update(combinations(names, 2))
    alike = []
    for (one, other), count in shared.items():
        shorter = min(len(bars[one]), len(bars[other]))
        if count >= max(share * shorter, min(ALIKE_BARS, shorter)):
            alike.append((one, other))
    return alike


def _bars(song: Song) -> tuple[set[int], set[int]]:
    """Return a number for each bar, of its onsets on sixteenths and pitches.

    In the second set pitches count from the lowest one of the bar on.
    """
    step = TICKS_PER_QUARTER // 4
    notes = sorted(
        ((2 * note.start_tick + step) // (2 * step), note.pitch_midi)
        for track in song.tracks
        if not track.is_drum
        for note in track.notes
    )
    lines = sorted(line // step for line in usual_bars(song).bar_lines())
    found, transposed, index = set(), set(), 0
    for start, end in zip(lines, [*lines[1:], song.length_ticks // step + 1], strict=True):
        while index < len(notes) and notes[index][0] < start:
            index += 1
        first = index
        while index < len(notes) and notes[index][0] < end:
            index += 1
        bar = notes[first:index]
        if len(bar) >= MIN_NOTES:
            lowest = min(pitch for _, pitch in bar)
            found.add(hash(tuple((onset - start, pitch) for onset, pitch in bar)))
            transposed.add(hash(tuple((onset - start, pitch - lowest) for onset, pitch in bar)))
    return found, transposed
