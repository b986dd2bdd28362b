"""Instruments and swing of sampled songs."""

import itertools
from fractions import Fraction

import pytest

from multigan.core.protocols import Sampler
from multigan.music.domain import MusicDomain
from multigan.music.formats.midi import read_midi, write_midi
from multigan.music.formats.song import CompletedSong, GivenSpan, Note, Song, TempoChange, Track
from multigan.music.representations.swing import with_swing
from multigan.music.representations.voices import BAND, SATB
from multigan.music.sampling.performance import read_instruments, read_program
from tests.music.tiny import Tiny

pytest.importorskip("pretty_midi")


def eighths(**header):
    notes = tuple(Note(240 * k, 240 * k + 240, 60 + k) for k in range(8))
    return Song((Track("melody", notes),), 1920, **header)


@pytest.mark.parametrize("ratio", [0.5, 0.6, 0.66, 0.75])
def test_the_second_eighth_of_each_beat_begins_at_the_ratio(ratio):
    starts = [note.start_tick for note in with_swing(eighths(), ratio).tracks[0].notes]
    assert starts[::2] == [0, 480, 960, 1440]
    assert starts[1::2] == [480 * k + round(480 * ratio) for k in range(4)]


def test_swing_keeps_bar_lines_length_and_notes_that_follow_each_other():
    song = with_swing(eighths(), 0.66)
    notes = song.tracks[0].notes
    assert song.length_ticks == 1920 and notes[-1].end_tick == 1920
    assert all(a.end_tick == b.start_tick for a, b in itertools.pairwise(notes))


def test_swing_counts_from_the_beats_of_a_song_with_an_upbeat_of_an_eighth():
    song = Song((Track("a", (Note(0, 240, 60), Note(240, 480, 62))),), 1920, anacrusis_ticks=240)
    upbeat, downbeat = with_swing(song, 0.75).tracks[0].notes
    assert (upbeat.start_tick, downbeat.start_tick) == (120, 240)


def test_given_spans_move_with_their_notes():
    song = CompletedSong(eighths().tracks, 1920, given=(GivenSpan("melody", 0, 240),))
    swung = with_swing(song, 0.75)
    assert isinstance(swung, CompletedSong) and swung.given == (GivenSpan("melody", 0, 360),)


def test_a_swung_sample_is_the_straight_one_moved(tmp_path):
    sampler = Sampler(MusicDomain(), Tiny(SATB))
    straight, swung = sampler.sample(1, seed=3), sampler.sample(1, seed=3, swing=0.66)
    assert swung == [with_swing(straight[0], 0.66)] != straight
    starts = {n.start_tick % 480 for t in swung[0].tracks for n in t.notes}
    assert starts == {0, 158, 317, 398}
    assert read_midi(write_midi(swung[0], tmp_path / "a.mid")).tracks == swung[0].tracks


@pytest.mark.parametrize("ratio", [0.3, 0.49, 0.9, 2.0])
def test_a_ratio_that_is_no_swing_is_refused(ratio):
    with pytest.raises(ValueError, match=r"swing must be 0\.5 to 0\.8 of a beat"):
        Sampler(MusicDomain(), Tiny(SATB)).sample(1, swing=ratio)


def test_swing_is_refused_where_beats_are_no_quarters():
    domain = MusicDomain(time_signature="6/8")
    with pytest.raises(ValueError, match=r"beats of a quarter; got 6/8"):
        Sampler(domain, Tiny(SATB, domain.grid.steps)).sample(1, swing=0.6)
    assert "swing" not in domain.sampling_tasks(None)["compose"]


def test_swing_on_triplets_warns():
    domain = MusicDomain(steps_per_quarter=12)
    with pytest.warns(UserWarning, match="comes on top"):
        Sampler(domain, Tiny(SATB, domain.grid.steps)).sample(1, swing=0.6)


@pytest.mark.parametrize(
    ("text", "program"),
    [("violin", 40), ("Violin", 40), ("acoustic  grand piano", 0), ("nylon", 24), ("0", 0),
     ("127", 127), ("flute", 73), ("lead 1 (square)", 80), ("gunshot", 127)],
)  # fmt: skip
def test_an_instrument_is_a_program_a_name_or_the_part_that_one_name_has(text, program):
    assert read_program(text) == program


@pytest.mark.parametrize(
    ("text", "hint"),
    [("piano", "near: Acoustic Grand Piano"), ("violine", "near: Violin"), ("zzz", "as violin"),
     ("128", "0 to 127"), ("-1", "0 to 127"), (str(Fraction(1, 2)), "General MIDI")],
)  # fmt: skip
def test_another_instrument_is_refused_with_near_names(text, hint):
    with pytest.raises(ValueError, match="an instrument must be") as error:
        read_program(text)
    assert hint in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("violin", "TRACK=INSTRUMENT, as bass=violin"), ("bass=", "TRACK=INSTRUMENT"),
     ("drums=violin", "of bass, chords, lead; got 'drums'"), ("oboe=oboe", "got 'oboe'"),
     ("bass=violin,Bass=cello", "bass twice")],
)  # fmt: skip
def test_instruments_of_no_track_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_instruments(text, BAND)


def test_instruments_reach_the_midi_file(tmp_path):
    sampler = Sampler(MusicDomain(), Tiny(SATB))
    song = sampler.sample(1, instruments="Soprano=oboe, bass=cello")[0]
    programs = {t.name: t.program for t in read_midi(write_midi(song, tmp_path / "a.mid")).tracks}
    plain = {track.name: track.program for track in sampler.sample(1)[0].tracks}
    assert programs == plain | {"soprano": 68, "bass": 42}


def test_the_end_and_the_tempo_changes_of_a_song_swing_with_its_notes():
    notes = (Note(0, 240, 60), Note(2160, 3840, 64), Note(3840, 3900, 62))
    ends = {"anacrusis_ticks": 240, "tempo_changes": (TempoChange(480, 90.0), TempoChange(720, 80))}
    swung = with_swing(Song((Track("a", notes),), 3840 + 60, **ends), 0.75)
    assert swung.length_ticks == swung.tracks[0].end_tick > 3900
    assert swung.tempo_changes == (TempoChange(600, 90.0), TempoChange(720, 80))
    whole = with_swing(Song((Track("a", (Note(1680, 1920, 60),)),), 1920, anacrusis_ticks=240), 0.7)
    assert whole.length_ticks == whole.tracks[0].end_tick == 2016
    short = with_swing(Song((Track("a", (Note(240, 241, 60),)),), 241), 0.8)  # 1 tick stays 1
    assert short.length_ticks == short.tracks[0].end_tick == short.tracks[0].notes[0].start_tick + 1


@pytest.mark.parametrize("text", ["--5", "+-5", "9" * 5000, "-" + "0" * 5000, "²", "1²"])
def test_an_instrument_that_is_no_number_is_refused_in_one_short_line(text):
    with pytest.raises(ValueError, match="an instrument must be") as error:
        read_program(text)
    assert len(str(error.value)) < 160
