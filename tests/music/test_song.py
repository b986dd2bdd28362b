import dataclasses
import subprocess
import sys

import pytest

from multigan.music.formats.song import KeySignature, Note, Song, TimeSignature, Track

QUARTER = 480
BAR = 4 * QUARTER


def song(*notes, length=4 * BAR, **fields):
    return Song((Track("lead", tuple(Note(*note) for note in notes)),), length, **fields)


def heard(song, track=0):
    return [note[:3] for note in song.tracks[track].notes]


def test_importing_songs_and_rolls_imports_no_torch():
    code = "import sys, multigan.music.representations.pianoroll; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_song_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        song().length_ticks = 3


def test_notes_are_sorted_so_that_equal_music_is_equal():
    assert song((480, 960, 60), (0, 480, 62)) == song((0, 480, 62), (480, 960, 60))


def test_an_older_note_ends_where_a_newer_of_its_pitch_begins():
    assert heard(song((0, 900, 60), (480, 600, 60), (0, 900, 64))) == [
        (0, 480, 60),
        (0, 900, 64),
        (480, 600, 60),
    ]


def test_of_two_notes_that_start_together_on_one_pitch_the_longer_stays():
    assert heard(song((0, 100, 60), (0, 300, 60))) == [(0, 300, 60)]


def test_abutting_repeats_stay_two_notes():
    assert heard(song((0, 480, 60), (480, 960, 60))) == [(0, 480, 60), (480, 960, 60)]


def test_transposing_moves_pitched_notes_and_the_key_but_no_drums():
    drums = Track("drums", (Note(0, 120, 36),), is_drum=True)
    lead = Track("lead", (Note(0, 480, 60),))
    moved = Song((lead, drums), BAR, key=KeySignature(9, minor=True)).transpose(5)
    assert heard(moved) == [(0, 480, 65)] and heard(moved, 1) == [(0, 120, 36)]
    assert moved.key == KeySignature(2, minor=True)


def test_transposing_there_and_back_changes_nothing():
    start = song((0, 480, 60), (480, 500, 72), key=KeySignature(0))
    assert start.transpose(-7).transpose(7) == start and start.transpose(0) is start


def test_transposing_out_of_the_midi_range_is_refused():
    with pytest.raises(ValueError, match=r"pitch of 0\.\.127"):
        song((0, 480, 120)).transpose(10)


def test_a_window_cuts_notes_at_its_edges_and_moves_them():
    cut = song((0, 960, 60), (960, 1920, 62), (1920, 2400, 64)).window(480, 1440)
    assert heard(cut) == [(0, 480, 60), (480, 960, 62)] and cut.length_ticks == 960


def test_a_window_keeps_the_bar_lines():
    mixed = (TimeSignature(0, 3, 4), TimeSignature(480 + 3 * 1440, 4, 4))
    start = song(length=480 + 3 * 1440 + 2 * BAR, time_signatures=mixed, anacrusis_ticks=480)
    lines = start.bar_lines()
    assert lines == [480, 1920, 3360, 4800, 6720]
    for begin in (0, 240, 480, 1000, 4799, 4800, 5000):
        window = start.window(begin, start.length_ticks)
        assert [line + begin for line in window.bar_lines()] == [b for b in lines if b >= begin]


@pytest.mark.parametrize("edges", [(-1, 480), (480, 480), (0, 4 * BAR + 1)])
def test_a_window_outside_the_song_is_refused(edges):
    with pytest.raises(ValueError, match="must lie in"):
        song().window(*edges)


def test_windows_of_bars_hold_no_pickup_no_rest_of_a_bar_and_no_change_of_metre():
    time_signatures = (TimeSignature(0, 4, 4), TimeSignature(480 + 3 * BAR, 3, 4))
    start = song(
        length=480 + 3 * BAR + 2 * 1440 + 700, time_signatures=time_signatures, anacrusis_ticks=480
    )
    third = 480 + 3 * BAR
    assert start.bar_windows(2) == [
        (480, 480 + 2 * BAR),
        (480 + BAR, third),
        (third, third + 2880),
    ]
    assert start.bar_windows(1, hop=2) == [(480, 2400), (4320, third), (third, third + 1440)]
    assert start.bar_windows(5) == []


@pytest.mark.parametrize("bars, hop", [(0, 1), (1, 0)])
def test_windows_of_no_bars_are_refused(bars, hop):
    with pytest.raises(ValueError, match="bars and hop must be 1 or more"):
        song().bar_windows(bars, hop)


def test_loudness_follows_the_metre():
    four = song(anacrusis_ticks=480)
    assert [four.velocity_at(t) for t in (0, 240, 480, 600, 960, 480 + BAR)] == [
        88, 72, 104, 72, 88, 104,
    ]  # fmt: skip
    six_eight = song(time_signatures=(TimeSignature(0, 6, 8),))
    assert [six_eight.velocity_at(240 * k) for k in range(7)] == [104, 72, 72, 88, 72, 72, 104]
    three_eight = song(time_signatures=(TimeSignature(0, 3, 8),))
    assert [three_eight.velocity_at(240 * k) for k in range(3)] == [104, 88, 88]


def test_the_metres_of_a_song_have_names():
    time_signatures = (
        TimeSignature(0, 4, 4),
        TimeSignature(1920, 12, 8),
        TimeSignature(4800, 4, 4),
    )
    assert Song((), 9600, time_signatures=time_signatures).time_signature_names == ["12/8", "4/4"]


def test_a_track_is_found_by_name_or_the_known_ones_are_listed():
    assert song().track("lead") is not None
    with pytest.raises(ValueError, match="the track must be one of: lead; got 'bass'"):
        song().track("bass")


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: song((0, 481, 60), length=480), "must be 481 or more"),
        (lambda: song((0, 480, 128)), r"pitch of 0\.\.127"),
        (lambda: song((480, 480, 60)), "start < end"),
        (lambda: song(tempo_bpm=0.0), r"tempo_bpm must be more than 0; got 0\.0"),
        (lambda: song(tempo_bpm=float("nan")), "tempo_bpm must be more than 0; got nan"),
        (lambda: song(time_signatures=()), "must start at tick 0"),
        (
            lambda: song(time_signatures=(TimeSignature(0, 4, 3),)),
            "a time signature must have .*; got 4/3",
        ),
        (
            lambda: song(time_signatures=(TimeSignature(0, 4, 4), TimeSignature(0, 3, 4))),
            "in order",
        ),
        (lambda: song(anacrusis_ticks=BAR), "anacrusis_ticks must be .*; got 1920"),
        (lambda: song(key=KeySignature(12)), "the tonic must be .*; got 12"),
        (lambda: Track("x", program=128), r"program must be 0\.\.127; got 128"),
    ],
)
def test_contradictions_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()
