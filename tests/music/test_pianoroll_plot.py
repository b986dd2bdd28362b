import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from multigan.music.formats.song import CompletedSong, GivenSpan, Note, Song, TimeSignature, Track
from multigan.music.rendering.pianoroll_plot import COLORS, pitch_name, plot_song, plot_songs

DRUMS = Track("drums", (Note(0, 120, 36), Note(480, 600, 27)), is_drum=True)


def song(*tracks, **header):
    return Song(tracks, 3840, **header)


def line(name, *pitches):
    return Track(name, tuple(Note(480 * i, 480 * i + 480, p) for i, p in enumerate(pitches)))


def pixels(file):
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def amount(file, colour):
    """How many pixels have about this colour."""
    return int((np.abs(pixels(file) - np.array(colour)).sum(-1) < 12).sum())


def test_pitches_have_their_names():
    assert [pitch_name(p) for p in (0, 60, 61, 69, 127)] == ["C-1", "C4", "C#4", "A4", "G9"]


def test_every_track_has_its_colour(tmp_path):
    duet = song(line("a", 60, 62, 64, 65), line("b", 48, 50), DRUMS)
    file = plot_song(duet, tmp_path / "song.png")
    assert all(amount(file, colour) > 100 for colour in COLORS[:3])
    assert amount(file, COLORS[0]) > 1.5 * amount(file, COLORS[1])
    assert [path.name for path in tmp_path.iterdir()] == ["song.png"]


def test_narrow_notes_keep_the_color_of_their_track(tmp_path):
    short = Track("a", tuple(Note(60 * i, 60 * i + 60, 60) for i in range(0, 6400, 2)))
    file = plot_song(Song((short,), 100 * 3840), tmp_path / "long.png")
    dark = tuple(round(value / 2) for value in COLORS[0])
    assert amount(file, COLORS[0]) > 4 * amount(file, dark)


def test_the_same_song_is_the_same_file(tmp_path):
    one = plot_song(song(line("a", 60)), tmp_path / "one.png")
    assert one.read_bytes() == plot_song(song(line("a", 60)), tmp_path / "two.png").read_bytes()


def test_a_roll_is_marked_as_a_plot_and_needs_no_matplotlib(tmp_path):
    code = (
        "import sys; from pathlib import Path;"
        "from multigan.music.formats.song import Note, Song, Track;"
        "from multigan.music.rendering.pianoroll_plot import plot_song;"
        "plot_song(Song((Track('a', (Note(0, 480, 60),)),), 1920), Path(sys.argv[1]));"
        "print('matplotlib' in sys.modules)"
    )
    file = tmp_path / "song.png"
    found = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
    assert found.stdout == "False\n"
    with Image.open(file) as picture:
        assert picture.info["Description"] == "plot"


def test_given_cells_are_shaded(tmp_path):
    plain = plot_song(song(line("a", 60, 72)), tmp_path / "plain.png")
    given = (GivenSpan("a", 0, 3840),)
    shaded = CompletedSong((line("a", 60, 72),), 3840, given=given)
    white = amount(plot_song(shaded, tmp_path / "given.png"), (255, 255, 255))
    assert white < 0.8 * amount(plain, (255, 255, 255))


def test_more_bars_are_a_wider_picture(tmp_path):
    short = pixels(plot_song(song(line("a", 60)), tmp_path / "short.png"))
    long = Song((line("a", 60),), 16 * 1920, time_signatures=(TimeSignature(0, 4, 4),))
    assert pixels(plot_song(long, tmp_path / "long.png")).shape[1] > 2 * short.shape[1]


@pytest.mark.parametrize(
    "drawn", [song(), song(Track("a")), song(DRUMS), song(line("a", 60), anacrusis_ticks=480)]
)
def test_a_song_with_little_in_it_is_drawn(tmp_path, drawn):
    assert plot_song(drawn, tmp_path / "song.png").stat().st_size > 500
    assert plot_songs([drawn, drawn], tmp_path / "songs.png", 1).stat().st_size > 500


def test_many_songs_are_a_grid(tmp_path):
    songs = [song(line("a", 60 + i)) for i in range(5)]
    wide = pixels(plot_songs(songs, tmp_path / "wide.png", 5))
    high = pixels(plot_songs(songs, tmp_path / "high.png", 1))
    assert wide.shape[1] > 3 * high.shape[1] and high.shape[0] > 3 * wide.shape[0]
    with pytest.raises(ValueError, match="must be 1 or more; got 0 and 2"):
        plot_songs([], tmp_path / "none.png", 2)


def _of_tracks(count, name="a track", is_drum=False):
    notes = (Note(0, 960, 60), Note(960, 1920, 67))
    return song(*(Track(f"{name} {k}", notes, is_drum=is_drum) for k in range(count)))


@pytest.mark.parametrize(
    "drawn", [_of_tracks(72), _of_tracks(4, "Electric Guitar (jazz)"), song(DRUMS)]
)
def test_names_stand_inside_the_picture(tmp_path, drawn):
    picture = np.asarray(Image.open(plot_song(drawn, tmp_path / "a.png")).convert("L"))
    edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    assert min(edge.min() for edge in edges) > 200


def test_a_crowd_of_tracks_is_no_taller_picture(tmp_path):
    few = pixels(plot_song(_of_tracks(132), tmp_path / "few.png"))
    assert pixels(plot_song(_of_tracks(900), tmp_path / "many.png")).shape == few.shape
