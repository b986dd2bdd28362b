"""Chords and sections over a roll."""

import numpy as np
import pytest
from PIL import Image

from multigan.music.formats.song import Note, Song, Track
from multigan.music.rendering.annotations import chord_name, song_chords, song_sections
from multigan.music.rendering.pianoroll_plot import plot_song
from multigan.music.theory import NO_CHORD

BAR = 1920


def bars(*pitches, track="piano"):
    notes = (Note(BAR * k, BAR * k + BAR, pitch) for k, pitch in enumerate(pitches))
    return Song((Track(track, tuple(notes)),), BAR * len(pitches))


def triads(*roots):
    notes = (
        Note(BAR * k, BAR * k + BAR, root + step)
        for k, root in enumerate(roots)
        for step in (0, 4, 7)
    )
    return Song((Track("piano", tuple(notes)),), BAR * len(roots))


@pytest.mark.parametrize(
    ("chord", "name"), [(0, "C"), (12, "Cm"), (24 + 7, "G7"), (58, "Bbm7"), (NO_CHORD, "")]
)
def test_chords_have_names(chord, name):
    assert chord_name(chord) == name


def test_chords_are_named_where_they_change():
    found = [(tick, chord_name(chord)) for tick, chord in song_chords(triads(60, 60, 65, 67))]
    assert found == [(0, "C"), (2 * BAR, "F"), (3 * BAR, "G")]


def test_like_sections_share_a_letter():
    a, b = (60, 62, 64, 65), (72, 71, 70, 69)
    near = (60, 62, 64, 67)  # one bar of four is another
    assert song_sections(bars(*a, *b, *near, *b, *(50, 51, 52, 53))) == [
        (0, "A"), (4 * BAR, "B"), (8 * BAR, "A"), (12 * BAR, "B"), (16 * BAR, "C"),
    ]  # fmt: skip


def test_sections_begin_after_an_upbeat_and_may_be_short():
    song = Song(
        (Track("a", (Note(0, 480, 60), Note(480, 1000, 62))),), 480 + 6 * BAR, anacrusis_ticks=480
    )
    assert song_sections(song) == [(480, "A"), (480 + 4 * BAR, "B")]
    assert song_sections(bars(60, 62, 64, 65)) == []


def test_more_than_26_sections_have_letters():
    letters = [letter for _, letter in song_sections(bars(*range(4 * 28)))]
    assert len(set(letters)) == 28 and letters[25:28] == ["Z", "A1", "B1"]


def test_a_roll_is_as_high_as_before_and_has_rows_above_it(tmp_path):
    def ink_above(song, name):
        """Dark pixels above the frame of the roll, and the height of the image."""
        with Image.open(plot_song(song, tmp_path / name)) as image:
            dark = np.asarray(image.convert("L")) < 100
        frame = int(np.flatnonzero(dark.mean(1) > 0.8)[0])
        return int(dark[:frame].sum()), frame

    chords, silent = triads(60, 60, 65, 67), Song((Track("piano"),), 4 * BAR)
    few, low = ink_above(silent, "silent.png")
    more, higher = ink_above(chords, "chords.png")
    most, highest = ink_above(triads(60, 60, 65, 67, 62, 62, 64, 64), "sections.png")
    assert few < more < most and low < higher < highest
