"""Songs as piano-roll images: colored tracks, chords, sections, given cells shaded."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from multigan.core.media import PLOT_METADATA
from multigan.music.formats.song import GivenSpan, Song, Track, given_spans
from multigan.music.rendering.annotations import chord_name, song_chords, song_sections
from multigan.music.representations.voices import DRUM_CLASSES, ROW_OF_DRUM
from multigan.storage.files import write_atomically

COLORS = colormaps["tab10"].colors  # type: ignore[attr-defined]
DPI = 100
INCHES_PER_BAR, INCHES_PER_PITCH = 0.9, 0.08
INCHES_PER_NAME, INCHES_PER_LETTER, INCHES_PER_LEGEND_ROW = 0.6, 0.06, 0.17
LONGEST_NAME, MOST_NAMED = 40, 32  # letters of a track's name, and tracks with one
SMALLEST, LARGEST = (5.0, 2.0), (40.0, 16.0)  # inches: width, height
BAR_LINE, BEAT_LINE, WHOLLY_GIVEN = "0.35", "0.85", "0.92"  # gray levels
BELOW, EDGES = 0.38, 0.48  # inches below the roll, and below and above it
MARGIN = 2  # pitches shown above and below the notes
EMPTY_RANGE = (59, 72)  # the pitches shown of a song without any
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
NAMED = (0, 4, 7)  # pitch classes with a name at the axis
MOST_BARS_WITH_CHORDS = 44  # as wide as the widest roll
NOTE_HEIGHT = 0.86  # of a row


def pitch_name(pitch_midi: int) -> str:
    """C4 for 60, middle C."""
    return f"{NOTE_NAMES[pitch_midi % 12]}{pitch_midi // 12 - 1}"


def plot_song(song: Song, path: Path) -> Path:
    """Write one song as a PNG file, as wide as its bars need, with the names of its tracks."""
    bars = song.length_ticks / song.time_signatures[0].bar_ticks
    low, high = _pitch_range([song])
    rows = high - low + (len(DRUM_CLASSES) + 2) * _has_drums(song)
    needed = (1.6 + bars * INCHES_PER_BAR, 0.9 + rows * INCHES_PER_PITCH)
    width, height = (min(max(w, s), b) for w, s, b in zip(needed, SMALLEST, LARGEST, strict=True))
    symbols, sections = _symbols(song), song_sections(song)
    rows_above = bool(symbols) + bool(sections)
    names = _legend_rows(song, width) * INCHES_PER_LEGEND_ROW
    above = names + rows_above * INCHES_PER_LEGEND_ROW
    height += above
    figure = Figure(figsize=(width, height))
    edges = {"left": (0.65 if _has_drums(song) else 0.45) / width, "right": 1 - 0.1 / width}
    edges |= {"bottom": BELOW / height, "top": 1 - (EDGES - BELOW + above) / height}
    figure.subplots_adjust(**edges)  # an automatic layout renders everything twice
    axes = figure.add_subplot()
    _plot_roll(axes, song, low, high)
    _name_rows(axes, low, high, drums=_has_drums(song))
    lines = song.bar_lines()
    axes.set_xticks(lines, [str(bar + 1) for bar in range(len(lines))], fontsize=7)
    axes.set_xlabel("bar", fontsize=7)
    row = INCHES_PER_LEGEND_ROW / (height - above - EDGES)  # as a share of the height of the roll
    _annotate(axes, symbols, row / 2, fontweight="normal")
    _annotate(axes, sections, row * (0.5 + bool(symbols)), fontweight="bold")
    if any(_names(song)) or given_spans(song):
        _legend(axes, song, width, 1 + rows_above * row)
    return _save(figure, path)


def plot_songs(songs: Sequence[Song], path: Path, columns: int) -> Path:
    """Write several songs into one PNG file, `columns` side by side, all on one range of pitches.

    Raises ValueError if there is no song.
    """
    if not songs or columns < 1:
        raise ValueError(f"songs and columns must be 1 or more; got {len(songs)} and {columns}")
    rows = math.ceil(len(songs) / columns)
    size = (min(2.6 * columns + 0.5, LARGEST[0]), min(1.7 * rows + 0.3, 2 * LARGEST[1]))
    figure = Figure(figsize=size)
    edges = {"left": 0.6 / size[0], "right": 0.99, "bottom": 0.05 / size[1], "top": 0.99}
    figure.subplots_adjust(**edges, wspace=0.04, hspace=0.06)
    low, high = _pitch_range(songs)
    for place, song in enumerate(songs):
        axes = figure.add_subplot(rows, columns, place + 1)
        _plot_roll(axes, song, low, high)
        axes.set(xticks=[], yticks=[])
        if place % columns == 0:
            _name_rows(axes, low, high, drums=False)  # their names would run together
    return _save(figure, path)


def _plot_roll(axes: Axes, song: Song, low: int, high: int) -> None:
    """One roll: pitches low to high, and the drums in rows of their own below."""
    floor = low - 1 - (len(DRUM_CLASSES) + 1) * _has_drums(song)
    _plot_lines(axes, song, floor, high)
    partly, wholly = _sorted_stretches(song)
    for start, end in wholly:
        axes.axvspan(start, end, color=WHOLLY_GIVEN, zorder=0)
    for index, track in enumerate(song.tracks):
        color = COLORS[index % len(COLORS)]
        rows = [_row(note.pitch_midi, track, low) for note in track.notes]
        cells = [
            _rectangle(note.start_tick, note.end_tick, row, NOTE_HEIGHT)
            for note, row in zip(track.notes, rows, strict=True)
        ]
        notes = PolyCollection(cells, facecolors=[color], edgecolors="black", linewidths=0.3)
        axes.add_collection(notes, autolim=False)
        shades = [_shade(s, rows) for s in partly if s.track == track.name]
        given = PolyCollection(shades, facecolors=[color], alpha=0.18, zorder=0, hatch="///")
        axes.add_collection(given, autolim=False)
    axes.set(xlim=(0, song.length_ticks), ylim=(floor, high + 1))


def _symbols(song: Song) -> list[tuple[int, str]]:
    """Ticks and symbols of the chords; none where there would be no room between two of them."""
    if not 0 < song.length_ticks <= MOST_BARS_WITH_CHORDS * song.time_signatures[0].bar_ticks:
        return []
    return [(tick, chord_name(chord)) for tick, chord in song_chords(song)]


def _annotate(
    axes: Axes, annotations: Sequence[tuple[int, str]], above: float, fontweight: str
) -> None:
    """Text at ticks, in a row `above` the roll, a share of its height."""
    transform = axes.get_xaxis_transform()
    for tick, text in annotations:
        axes.text(
            tick, 1 + above, text, transform=transform, fontsize=6, va="center",
            fontweight=fontweight, clip_on=False,
        )  # fmt: skip


def _name_rows(axes: Axes, low: int, high: int, drums: bool) -> None:
    """Names of pitches at the left, and of the drums if `drums`."""
    pitches = [pitch for pitch in range(low, high + 1) if pitch % 12 in NAMED]
    kit = {name: low - 2 - row for row, name in enumerate(DRUM_CLASSES)} if drums else {}
    rows = {pitch_name(pitch): pitch for pitch in pitches} | kit
    label_transform = axes.get_yaxis_transform()
    for name, row in rows.items():  # a tick of the axis is five artists, this is one
        axes.text(-0.008, row, name, transform=label_transform, fontsize=6, ha="right", va="center")
    axes.set_yticks([])


def _plot_lines(axes: Axes, song: Song, floor: int, ceiling: int) -> None:
    """Bar lines, and fainter ones for the beats."""
    bars = song.bar_lines()
    beat = song.time_signatures[0].beat_ticks
    beats = [
        t for t in range(song.anacrusis_ticks % beat, song.length_ticks, beat) if t not in bars
    ]
    for ticks, color, width in ((beats, BEAT_LINE, 0.5), (bars, BAR_LINE, 0.9)):
        lines = [((tick, floor), (tick, ceiling + 1)) for tick in ticks]
        axes.add_collection(LineCollection(lines, colors=color, linewidths=width, zorder=0.5))


def _row(pitch: int, track: Track, low: int) -> int:
    """The height at which a note stands; drums without a row stand lowest."""
    if not track.is_drum:
        return pitch
    return low - 2 - ROW_OF_DRUM.get(pitch, len(DRUM_CLASSES) - 1)


def _rectangle(start: float, end: float, middle: float, height: float) -> list[tuple[float, float]]:
    below, above = middle - height / 2, middle + height / 2
    return [(start, below), (end, below), (end, above), (start, above)]


def _shade(stretch: GivenSpan, rows: Sequence[int]) -> list[tuple[float, float]]:
    """A box over a given stretch of a track, as high as the notes of the track."""
    low, high = min(rows, default=0), max(rows, default=0)
    return _rectangle(stretch.start_tick, stretch.end_tick, (low + high) / 2, high - low + 1.6)


def _sorted_stretches(song: Song) -> tuple[list[GivenSpan], list[tuple[int, int]]]:
    """Spans given of some tracks, and the tick ranges in which all tracks were given."""
    found = given_spans(song)
    counts = Counter(stretch[1:] for stretch in found)
    wholly = [ticks for ticks, count in counts.items() if count == len(song.tracks)]
    return [stretch for stretch in found if stretch[1:] not in wholly], wholly


def _pitch_range(songs: Sequence[Song]) -> tuple[int, int]:
    """The lowest and the highest MIDI pitch to show."""
    tracks = [track for song in songs for track in song.tracks if not track.is_drum]
    pitches = [note.pitch_midi for track in tracks for note in track.notes] or list(EMPTY_RANGE)
    return max(0, min(pitches) - MARGIN), min(127, max(pitches) + MARGIN)


def _has_drums(song: Song) -> bool:
    return any(track.is_drum for track in song.tracks)


def _legend(axes: Axes, song: Song, width: float, bottom: float) -> None:
    """The names of the tracks in their colors, from `bottom` on over a roll `width` inches wide."""
    for index, name in enumerate(_names(song)):
        color = COLORS[index % len(COLORS)] if index < MOST_NAMED else "none"
        axes.plot([], [], linewidth=4, color=color, label=name)
    if given_spans(song):
        axes.fill_between([], [], color="0.8", hatch="///", label="given")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, bottom),
        ncols=_names_side_by_side(song, width),
        fontsize=7,
        frameon=False,
        borderaxespad=0.2,
    )


def _short(track: Track) -> str:
    """The beginning of the first line of a track's name, short enough for a legend."""
    name = track.name.split("\n")[0]
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _names(song: Song) -> list[str]:
    """Legend entries: the names of the tracks, and the number of further tracks."""
    more = len(song.tracks) - MOST_NAMED
    return [_short(t) for t in song.tracks[:MOST_NAMED]] + [f"and {more} more"] * (more > 0)


def _names_side_by_side(song: Song, width: float) -> int:
    longest = max(map(len, _names(song)))
    return max(1, int(width / (INCHES_PER_NAME + longest * INCHES_PER_LETTER)))


def _legend_rows(song: Song, width: float) -> int:
    if not any(_names(song)) and not given_spans(song):
        return 0
    names = len(_names(song)) + bool(given_spans(song))
    return math.ceil(names / _names_side_by_side(song, width))


def _save(figure: Figure, path: Path) -> Path:
    """Write a PNG file, whole or not at all; its bytes depend on the figure alone."""
    content = io.BytesIO()
    figure.savefig(content, dpi=DPI, format="png", metadata=PLOT_METADATA)
    write_atomically(path, content.getvalue())
    return path
