import zipfile

import pytest

from multigan.core.rng import keyed_rng
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.datasets.synthetic_chorales import generate_songs
from multigan.music.datasets.zip_import import imported_folder
from multigan.music.formats.midi import write_midi
from multigan.music.representations.voices import TRACK_LAYOUTS


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    songs = generate_songs("band", 3, keyed_rng(0, "zip"), bars=4)
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as file:
        for k, made in enumerate(songs):
            file.write(write_midi(made.song, tmp_path / f"{k}.mid"), f"songs/{k}.mid")
        file.write(tmp_path / "0.mid", "../outside.mid")
        file.write(tmp_path / "0.mid", "__MACOSX/songs/._0.mid")
        file.writestr("songs/readme.txt", "three songs")
    return tmp_path / "songs.zip"


def test_a_zip_of_songs_is_data_and_is_imported_once(archive, tmp_path, capsys):
    data = SongWindowDataset(str(archive), bars=2, layout="melody+piano")
    assert data.domain.voices == TRACK_LAYOUTS["melody+piano"] and len(data) == 3
    assert "used 3 of 3 files" in capsys.readouterr().out
    assert len(SongWindowDataset(str(archive), bars=4, layout="melody+piano")) == 1
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "outside.mid").exists() and not list(tmp_path.glob("cache/*.mid"))


def test_other_sources_stay_as_they_are(tmp_path):
    assert imported_folder("composed") == "composed"
    assert imported_folder(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK no archive"])
def test_a_damaged_zip_is_named(tmp_path, content):
    (tmp_path / "songs.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"songs\.zip must be a zip of songs"):
        SongWindowDataset(str(tmp_path / "songs.zip"))
