import pytest

from multigan.cli.dynamic_options import domain_command
from multigan.core.serialization import import_attribute
from multigan.music import COMMANDS
from multigan.music.commands import render_songs
from multigan.music.formats.midi import read_midi, write_midi
from multigan.music.formats.song import Note, Song, Track
from multigan.music.rendering.audio import synthesizer_state
from tests.music.tiny import write_songs


def test_real_songs_become_files_and_what_played_them_is_said(tmp_path, capsys):
    source, out = write_songs(tmp_path / "songs", "3/4", songs=9), tmp_path / "out"
    command = domain_command("render", import_attribute(COMMANDS["render"]), load=None)
    command.main([source, "--out", str(out), "--n", "2", "--bars", "2", "--split", "train"],
                 standalone_mode=False)  # fmt: skip
    said = capsys.readouterr().out.splitlines()
    assert said == [synthesizer_state(), f"2 songs: 6 files in {out}"]
    assert len(list(out.glob("*.wav"))) == len(list(out.glob("*.png"))) == 2
    for number in range(2):
        song = read_midi(out / f"{number:06d}.mid")
        assert song.length_ticks == 2 * 1440 and song.time_signature_names == ["3/4"]


def test_one_midi_file_is_a_song_too(tmp_path):
    write_songs(tmp_path / "songs", songs=3)
    render_songs(str(tmp_path / "songs"), out=str(tmp_path / "a"), n=1, bars=1)
    render_songs(str(tmp_path / "a" / "000000.mid"), out=str(tmp_path / "b"))
    one, other = (read_midi(tmp_path / name / "000000.mid") for name in "ab")
    assert one == other


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"n": 0}, "n must be 1 or more and bars 0 or more; got 0 and 0"),
        ({"bars": -1}, "n must be 1 or more and bars 0 or more; got 8 and -1"),
        ({"split": "best"}, "split must be one of train, valid, test; got 'best'"),
        ({"bars": 7}, "must be a song with notes of 7 bars; set fewer --bars; got none"),
    ],
)
def test_wishes_that_make_no_sense_are_one_line(tmp_path, wishes, said):
    source = write_songs(tmp_path / "songs", songs=3)
    with pytest.raises(ValueError, match=said):
        render_songs(source, out=str(tmp_path / "out"), **wishes)
    assert not (tmp_path / "out").exists()


def test_a_song_without_notes_is_never_written(tmp_path):
    silent = Song((Track("piano"),), 7680)
    late = Song((Track("piano", (Note(5760, 6240, 60),)),), 7680)
    for name, song in {"silent": silent, "late": late}.items():
        write_midi(song, tmp_path / f"{name}.mid")
    with pytest.raises(ValueError, match="there must be a song with notes; got none"):
        render_songs(str(tmp_path / "silent.mid"), out=str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()
    render_songs(str(tmp_path / "late.mid"), out=str(tmp_path / "b"), bars=1)
    assert read_midi(tmp_path / "b" / "000000.mid").tracks[0].notes == (Note(0, 480, 60),)
