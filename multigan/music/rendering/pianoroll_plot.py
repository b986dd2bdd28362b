"""Songs as piano-roll images: colored tracks, chords, sections, given cells shaded."""

from __future__ import annotations

import importlib.util
import io
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from multigan.core.media import PLOT
from multigan.music.formats.song import GivenSpan, Song, Track, given_spans
from multigan.music.rendering.annotations import chord_name, song_chords, song_sections
from multigan.music.representations.voices import DRUM_CLASSES, ROW_OF_DRUM
from multigan.storage.files import write_atomically

Color = tuple[int, int, int]

COLORS: tuple[Color, ...] = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
)  # fmt: skip
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
BAR_LINE, BEAT_LINE, WHOLLY_GIVEN, GIVEN_SWATCH = (89,) * 3, (217,) * 3, (235,) * 3, (204,) * 3
# Lengths are in pixels.
PER_BAR, PER_PITCH = 90, 8
PER_NAME, PER_LETTER, PER_LEGEND_ROW = 60, 6, 17
LONGEST_NAME, MOST_NAMED = 40, 32  # letters of a track's name, and tracks with one
SMALLEST, LARGEST = (500, 200), (4000, 1600)  # width, height
BELOW, EDGES = 38, 48  # below the roll, and below and above it
LEFT, LEFT_OF_DRUMS, RIGHT = 45, 65, 10  # left and right of the roll
GRID_TILE, GRID_GAP, GRID_LEFT, GRID_EDGE = (248, 164), 10, 60, 5
FONT, BOLD = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"  # matplotlib carries them
SMALL, MEDIUM = 8.5, 10  # height of letters
SWATCH = 24, 6
MARGIN = 2  # pitches shown above and below the notes
EMPTY_RANGE = (59, 72)  # the pitches shown of a song without any
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
NAMED = (0, 4, 7)  # pitch classes with a name at the axis; C alone where there is little room
MOST_BARS_WITH_CHORDS = 44  # as wide as the widest roll
NOTE_HEIGHT = 0.86  # of a row
OUTLINED, BEAT_GAP = 4, 5  # the least sides of notes with an outline; between lines of beats
OUTLINE, SHADE, STRIPE = 0.5, 0.18, 0.45  # shares of a track's color, the rest black or white
STRIPE_GAP = 6  # between the stripes of what was given


class _Roll(NamedTuple):
    """Box of an image that shows the ticks of a song and a range of rows, high ones above."""

    canvas: ImageDraw.ImageDraw
    left: int
    top: int
    width: int
    height: int
    ticks: int
    floor: int
    ceiling: int

    def x(self, tick: float) -> int:
        return self.left + round(self.width * tick / max(self.ticks, 1))

    def y(self, row: float) -> int:
        """The height of the middle of a row."""
        share = (row - self.floor) / (self.ceiling - self.floor)
        return self.top + self.height - round(self.height * share)

    def rectangle(self, start: float, end: float, below: float, above: float) -> tuple[int, ...]:
        """Corners of what lies between two ticks and two rows, a pixel wide and high at least."""
        left, top = self.x(start), self.y(above)
        return left, top, max(self.x(end), left), max(self.y(below), top)


def pitch_name(pitch_midi: int) -> str:
    """C4 for 60, middle C."""
    return f"{NOTE_NAMES[pitch_midi % 12]}{pitch_midi // 12 - 1}"


def plot_song(song: Song, path: Path) -> Path:
    """Write one song as a PNG file, as wide as its bars need, with the names of its tracks."""
    bars = song.length_ticks / song.time_signatures[0].bar_ticks
    low, high = _pitch_range([song])
    rows = high - low + (len(DRUM_CLASSES) + 2) * _has_drums(song)
    needed = (160 + bars * PER_BAR, 90 + rows * PER_PITCH)
    width, height = (
        round(min(max(w, s), b)) for w, s, b in zip(needed, SMALLEST, LARGEST, strict=True)
    )
    symbols, sections = _symbols(song), song_sections(song)
    rows_above = bool(symbols) + bool(sections)
    above = (_legend_rows(song, width) + rows_above) * PER_LEGEND_ROW
    image = Image.new("RGB", (width, height + above), WHITE)
    left = LEFT_OF_DRUMS if _has_drums(song) else LEFT
    top = above + EDGES - BELOW
    roll = _Roll(
        ImageDraw.Draw(image), left, top, width - left - RIGHT, height - EDGES,
        song.length_ticks, _floor(song, low), high + 1,
    )  # fmt: skip
    _plot_roll(roll, song, low)
    _name_rows(roll, low, high, drums=_has_drums(song))
    _name_bars(roll, song)
    _annotate(roll, symbols, 0, FONT)
    _annotate(roll, sections, int(bool(symbols)), BOLD)
    if any(_names(song)) or given_spans(song):
        _plot_legend(roll, song, width)
    return _save(image, path)


def plot_songs(songs: Sequence[Song], path: Path, columns: int) -> Path:
    """Write several songs into one PNG file, `columns` side by side, all on one range of pitches.

    Raises ValueError if there is no song.
    """
    if not songs or columns < 1:
        raise ValueError(f"songs and columns must be 1 or more; got {len(songs)} and {columns}")
    rows = math.ceil(len(songs) / columns)
    wide = min(GRID_TILE[0] + GRID_GAP, (LARGEST[0] - GRID_LEFT) // columns)
    high = min(GRID_TILE[1] + GRID_GAP, 2 * LARGEST[1] // rows)
    size = (GRID_LEFT + columns * wide, GRID_EDGE + rows * high)
    image = Image.new("RGB", size, WHITE)
    canvas = ImageDraw.Draw(image)
    lowest, highest = _pitch_range(songs)
    for place, song in enumerate(songs):
        down, across = divmod(place, columns)
        roll = _Roll(
            canvas, GRID_LEFT + across * wide, GRID_EDGE + down * high,
            max(wide - GRID_GAP, 1), max(high - GRID_GAP, 1),
            song.length_ticks, _floor(song, lowest), highest + 1,
        )  # fmt: skip
        _plot_roll(roll, song, lowest)
        if across == 0:
            _name_rows(roll, lowest, highest, drums=False)  # their names would run together
    return _save(image, path)


def _floor(song: Song, low: int) -> int:
    """The row at the lower edge: the drums have rows of their own below the pitches."""
    return low - 1 - (len(DRUM_CLASSES) + 1) * _has_drums(song)


def _plot_roll(roll: _Roll, song: Song, low: int) -> None:
    """Plot what was given, the lines, the notes and a frame."""
    partly, wholly = _sorted_stretches(song)
    for start, end in wholly:
        box = roll.rectangle(start, end, roll.floor, roll.ceiling)
        roll.canvas.rectangle(box, fill=WHOLLY_GIVEN)
    for index, track in enumerate(song.tracks):
        rows = [_row(note.pitch_midi, track, low) for note in track.notes]
        for stretch in (s for s in partly if s.track == track.name):
            _plot_given(roll, stretch, rows, COLORS[index % len(COLORS)])
    _plot_lines(roll, song)
    for index, track in enumerate(song.tracks):
        color = COLORS[index % len(COLORS)]
        edge = _mixed(color, BLACK, OUTLINE)
        for note in track.notes:
            row = _row(note.pitch_midi, track, low)
            ends = row - NOTE_HEIGHT / 2, row + NOTE_HEIGHT / 2
            box = roll.rectangle(note.start_tick, note.end_tick, *ends)
            wide = min(box[2] - box[0], box[3] - box[1]) >= OUTLINED
            roll.canvas.rectangle(box, fill=color, outline=edge if wide else None)
    frame = (roll.left, roll.top, roll.left + roll.width, roll.top + roll.height)
    roll.canvas.rectangle(frame, outline=BLACK)


def _symbols(song: Song) -> list[tuple[int, str]]:
    """Ticks and symbols of the chords; none where there would be no room between two of them."""
    if not 0 < song.length_ticks <= MOST_BARS_WITH_CHORDS * song.time_signatures[0].bar_ticks:
        return []
    return [(tick, chord_name(chord)) for tick, chord in song_chords(song)]


def _annotate(roll: _Roll, annotations: Sequence[tuple[int, str]], row: int, font: str) -> None:
    """Text at ticks, in a row above the roll."""
    y = roll.top - round((row + 0.5) * PER_LEGEND_ROW)
    for tick, text in annotations:
        roll.canvas.text((roll.x(tick), y), text, BLACK, _font(font, SMALL), anchor="lm")


def _name_rows(roll: _Roll, low: int, high: int, drums: bool) -> None:
    """Names of pitches at the left, and of the drums if `drums`."""
    row = roll.height / (roll.ceiling - roll.floor)
    named = NAMED if 3 * row > SMALL else NAMED[:1]  # E and G are 3 rows apart
    pitches = [pitch for pitch in range(low, high + 1) if pitch % 12 in named]
    kit = {name: low - 2 - row for row, name in enumerate(DRUM_CLASSES)} if drums else {}
    rows = {pitch_name(pitch): pitch for pitch in pitches} | kit
    for name, row in rows.items():
        place = roll.left - 6, roll.y(row)
        roll.canvas.text(place, name, BLACK, _font(FONT, SMALL), anchor="rm")


def _name_bars(roll: _Roll, song: Song) -> None:
    """Numbers of the bars below the roll; as many as there is room for."""
    lines = song.bar_lines()
    bottom = roll.top + roll.height
    every = math.ceil(len(lines) * 3 * SMALL / roll.width)
    for bar, tick in enumerate(lines):
        if bar % every == 0:
            x = roll.x(tick)
            roll.canvas.line((x, bottom, x, bottom + 4), BLACK)
            place = x, bottom + 7
            roll.canvas.text(place, str(bar + 1), BLACK, _font(FONT, MEDIUM), anchor="ma")
    place = roll.left + roll.width // 2, bottom + 22
    roll.canvas.text(place, "bar", BLACK, _font(FONT, MEDIUM), anchor="ma")


def _plot_lines(roll: _Roll, song: Song) -> None:
    """Bar lines, and fainter ones for the beats."""
    bars = song.bar_lines()
    beat = song.time_signatures[0].beat_ticks
    beats = range(song.anacrusis_ticks % beat, song.length_ticks, beat)
    if roll.width * beat < BEAT_GAP * roll.ticks:
        beats = range(0)
    for ticks, color in ((beats, BEAT_LINE), (bars, BAR_LINE)):
        for tick in ticks:
            x = roll.x(tick)
            roll.canvas.line((x, roll.top, x, roll.top + roll.height), color)


def _row(pitch: int, track: Track, low: int) -> int:
    """The height at which a note stands; drums without a row stand lowest."""
    if not track.is_drum:
        return pitch
    return low - 2 - ROW_OF_DRUM.get(pitch, len(DRUM_CLASSES) - 1)


def _plot_given(roll: _Roll, stretch: GivenSpan, rows: Sequence[int], color: Color) -> None:
    """Shade and stripe a given stretch of a track, as high as the notes of the track."""
    low, high = min(rows, default=0) - 0.8, max(rows, default=0) + 0.8
    box = roll.rectangle(stretch.start_tick, stretch.end_tick, low, high)
    roll.canvas.rectangle(box, fill=_mixed(color, WHITE, SHADE))
    _stripe(roll.canvas, box, _mixed(color, WHITE, STRIPE))


def _stripe(canvas: ImageDraw.ImageDraw, box: tuple[int, ...], color: Color) -> None:
    """Plot rising stripes inside a box."""
    left, top, right, bottom = box
    for start in range(left - (bottom - top), right, STRIPE_GAP):
        x0, x1 = max(start, left), min(start + bottom - top, right)
        canvas.line((x0, bottom - (x0 - start), x1, bottom - (x1 - start)), color)


def _mixed(color: Color, other: Color, share: float) -> Color:
    """A share of one color, the rest another."""
    red, green, blue = (
        round(share * a + (1 - share) * b) for a, b in zip(color, other, strict=True)
    )
    return red, green, blue


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


def _plot_legend(roll: _Roll, song: Song, width: int) -> None:
    """Plot the names of the tracks in their colors, line by line at the top of the image."""
    columns, names = _names_side_by_side(song, width), _names(song)
    across = (width - roll.left) // columns
    entries = [*names, *["given"] * bool(given_spans(song))]
    for index, name in enumerate(entries):
        down, column = divmod(index, columns)
        x, y = roll.left + column * across, round((down + 0.5) * PER_LEGEND_ROW) + 2
        box = (x, y - SWATCH[1] // 2, x + SWATCH[0], y + SWATCH[1] // 2)
        if index >= len(names):
            roll.canvas.rectangle(box, fill=GIVEN_SWATCH)
            _stripe(roll.canvas, box, BAR_LINE)
        elif index < MOST_NAMED:
            roll.canvas.rectangle(box, fill=COLORS[index % len(COLORS)])
        roll.canvas.text((x + SWATCH[0] + 6, y), name, BLACK, _font(FONT, MEDIUM), anchor="lm")


def _short(track: Track) -> str:
    """The beginning of the first line of a track's name, short enough for a legend."""
    name = track.name.split("\n")[0]
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _names(song: Song) -> list[str]:
    """Legend entries: the names of the tracks, and the number of further tracks."""
    more = len(song.tracks) - MOST_NAMED
    return [_short(t) for t in song.tracks[:MOST_NAMED]] + [f"and {more} more"] * (more > 0)


def _names_side_by_side(song: Song, width: int) -> int:
    longest = max(map(len, _names(song)))
    return max(1, int((width - LEFT_OF_DRUMS) / (PER_NAME + longest * PER_LETTER)))


def _legend_rows(song: Song, width: int) -> int:
    if not any(_names(song)) and not given_spans(song):
        return 0
    names = len(_names(song)) + bool(given_spans(song))
    return math.ceil(names / _names_side_by_side(song, width))


@lru_cache
def _font(name: str, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of matplotlib, which is not imported for it, or the one of Pillow."""
    found = importlib.util.find_spec("matplotlib")
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = Path(folder) / "mpl-data/fonts/ttf" / name
        if file.is_file():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


def _save(image: Image.Image, path: Path) -> Path:
    """Write a PNG file, whole or not at all; its bytes depend on the image alone."""
    info = PngInfo()
    info.add_text("Description", PLOT)
    content = io.BytesIO()
    image.save(content, format="PNG", pnginfo=info)
    write_atomically(path, content.getvalue())
    return path
