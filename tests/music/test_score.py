"""Scores that other programs open: notes, names, bars and chord symbols are read back."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from multigan.cli.app import main
from multigan.core.rng import keyed_rng
from multigan.music.commands import render_songs
from multigan.music.datasets.synthetic_songs import generate_songs
from multigan.music.formats.midi import write_midi
from multigan.music.formats.musicxml import read_musicxml
from multigan.music.formats.song import KeySignature, Note, Song, Track
from multigan.music.rendering.annotations import song_chords
from multigan.music.rendering.score import write_score


def notes(song):
    return [sorted(note[:3] for note in track.notes) for track in song.tracks]


def triad(*pitches, start=0):
    return [Note(start, start + 1920, pitch) for pitch in pitches]


LEAD_SHEET = Song(
    (
        Track("melody", (Note(100, 380, 72), Note(480, 2500, 74), Note(2500, 2560, 75))),
        Track("piano", (Note(0, 480, 60), Note(0, 1000, 64), Note(0, 1000, 67),
                        Note(480, 960, 60), Note(1000, 1060, 67), Note(640, 1900, 40)), 4),
    ),
    3840,
    anacrusis_ticks=480,
    key=KeySignature(4, True),
)  # fmt: skip


@pytest.mark.parametrize(("preset", "signature"), [("satb", "4/4"), ("band", "3/4")])
def test_a_score_is_read_back_with_the_same_notes(tmp_path, preset, signature):
    rng = keyed_rng("score", preset)
    song = generate_songs(preset, 1, rng, bars=3, time_signature=signature)[0].song
    read = read_musicxml(write_score(song, tmp_path / "a.musicxml"))
    assert notes(read) == notes(song) and read.length_ticks == song.length_ticks
    assert [track.name for track in read.tracks] == [track.name for track in song.tracks]
    assert [track.program for track in read.tracks] == [track.program for track in song.tracks]
    assert (read.tempo_bpm, read.key, read.time_signatures) == (
        song.tempo_bpm, song.key, song.time_signatures,
    )  # fmt: skip


def test_an_upbeat_ties_and_notes_that_overlap_are_read_back(tmp_path):
    read = read_musicxml(write_score(LEAD_SHEET, tmp_path / "a.musicxml"))
    assert notes(read) == notes(LEAD_SHEET) and read.anacrusis_ticks == 480
    assert read.key == LEAD_SHEET.key


def test_notes_between_the_steps_are_moved_to_the_nearest(tmp_path):
    song = Song((Track("piano", (Note(7, 493, 60), Note(951, 955, 62))),), 1920)
    read = read_musicxml(write_score(song, tmp_path / "a.musicxml"))
    assert notes(read) == [[(0, 500, 60), (960, 980, 62)]]


def test_chords_are_named_by_half_bar_over_the_first_part(tmp_path):
    chords = [
        *triad(60, 64, 67),
        *triad(57, 60, 64, start=1920),
        *triad(55, 59, 62, 65, start=3840),
    ]
    song = Song((Track("melody", (Note(0, 960, 72),)), Track("piano", tuple(chords))), 5760)
    assert list(song_chords(song)) == [(0, 0), (1920, 12 + 9), (3840, 24 + 7)]
    score = ElementTree.parse(write_score(song, tmp_path / "a.musicxml")).getroot()
    first, second = score.findall("part")
    roots = [h.findtext("root/root-step") for h in first.iter("harmony")]
    kinds = [h.findtext("kind") for h in first.iter("harmony")]
    assert roots == ["C", "A", "G"] and kinds == ["major", "minor", "dominant"]
    assert not list(second.iter("harmony"))


def test_rendering_writes_the_files_that_are_asked_for(tmp_path, capsys):
    write_midi(replace(LEAD_SHEET, anacrusis_ticks=0), tmp_path / "a.mid")
    render_songs(str(tmp_path / "a.mid"), out=str(tmp_path / "out"), audio="none", score=True)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["000000.mid", "000000.musicxml", "000000.png"]
    assert "rendered by" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="audio must be one of wav, ogg, none; got 'mp3'"):
        render_songs(str(tmp_path / "a.mid"), out=str(tmp_path / "b"), audio="mp3")
    assert not (tmp_path / "b").exists()


def test_an_ogg_file_holds_the_sound(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    from multigan.music.rendering.audio import render_song, write_audio

    sound, rate = soundfile.read(write_audio(LEAD_SHEET, tmp_path / "a.ogg", 11_025))
    wanted = render_song(LEAD_SHEET, 11_025)
    assert rate == 11_025 and len(sound) == len(wanted)
    assert abs(sound - wanted).mean() < 0.02 < abs(wanted).mean()


def test_sample_writes_the_audio_and_the_score_that_are_asked_for(tmp_path):
    command = ["sample", "music", "-n", "1", "--bars", "2", "--out", str(tmp_path / "out")]
    assert main([*command, "--audio", "ogg", "--score"]) == 0
    written = {file.suffix for file in (tmp_path / "out").iterdir()}
    assert written == {".mid", ".ogg", ".png", ".musicxml"}
