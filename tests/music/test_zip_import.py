import zipfile

import pytest

from multigan.core.rng import keyed_rng
from multigan.music.commands import render_songs
from multigan.music.datasets.midi_folder import import_midi_folder, inspect_songs
from multigan.music.datasets.song_reading import found_songs
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.datasets.synthetic_songs import generate_songs
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
    (report,) = (tmp_path / "cache").rglob("report.json")
    report.unlink()  # an import that was interrupted
    assert len(SongWindowDataset(str(archive), bars=2, layout="melody+piano")) == 3
    assert "used 3 of 3 files" in capsys.readouterr().out
    assert not (tmp_path / "outside.mid").exists() and not list(tmp_path.glob("cache/*.mid"))


def test_a_zip_is_inspected_imported_and_rendered_as_its_folder_is(archive, tmp_path, capsys):
    import_midi_folder(str(archive), out=str(tmp_path / "import"), layout="band", bars=2)
    said = capsys.readouterr().out
    assert "used 3 of 3 files" in said and f"{archive}/" not in said
    for reason in ("path outside of the archive", "hidden, or of", "no MIDI file and no score"):
        assert f"ignored   1  {reason}" in said
    inspect_songs(str(archive), layout="band", bars=2)
    assert capsys.readouterr().out.splitlines()[1:9] == said.splitlines()[1:9]
    render_songs(str(archive), out=str(tmp_path / "out"), n=1, split="train", audio="none")
    assert "1 songs" in capsys.readouterr().out


def test_members_of_a_zip_are_known_by_their_content_and_others_are_named(archive, tmp_path):
    content = (tmp_path / "0.mid").read_bytes()
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as file:
        file.writestr("song", content)
        file.writestr("inner.zip", archive.read_bytes())
    with found_songs(tmp_path / "more.zip") as songs:
        assert [path.name for path in songs.files] == ["song"]
        assert songs.others == {"no MIDI file and no score": ["inner.zip"]}
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as file:
        file.writestr("inner.zip", archive.read_bytes())
    with pytest.raises(ValueError, match=r"none\.zip must hold MIDI files.*got inner\.zip"):
        inspect_songs(str(tmp_path / "none.zip"))


def changed(file, name, offset, value):
    """Change two bytes of the header of a member, in both of its places."""
    data = bytearray(file.read_bytes())
    place = zipfile.ZipFile(file).getinfo(name).header_offset + offset
    listed = data.rindex(name.encode()) - 46 + offset + 2
    data[place : place + 2] = data[listed : listed + 2] = value.to_bytes(2, "little")
    file.write_bytes(data)


def test_a_member_that_cannot_be_read_costs_itself_alone(archive, tmp_path):
    content = (tmp_path / "0.mid").read_bytes()
    names = ["cover.jpg", "deflate64", "locked.mid", "broken.mid", "a.mid", "a.mid/b.mid"]
    names += ["c/d.mid", "c", "x" * 256 + ".mid", "y/" * 2000 + "z.mid", "used.mid"]
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as file:
        for name in names:
            file.writestr(name, content)
    changed(tmp_path / "odd.zip", "cover.jpg", 6, 1)
    changed(tmp_path / "odd.zip", "locked.mid", 6, 1)
    changed(tmp_path / "odd.zip", "deflate64", 8, 9)
    changed(tmp_path / "odd.zip", "broken.mid", 14, 0)
    with found_songs(tmp_path / "odd.zip") as songs:
        used = [path.relative_to(songs.root).as_posix() for path in songs.files]
    assert used == ["a.mid", "c/d.mid", "used.mid"]
    assert songs.others == {
        "encrypted": ["cover.jpg", "locked.mid"],
        "in a compression that is not read": ["deflate64"],
        "damaged in the archive": ["broken.mid"],
        "name that is a file and a folder in the archive": ["a.mid/b.mid", "c"],
        "name that is too long for a file": names[-3:-1],
    }


def test_a_zip_whose_songs_are_all_encrypted_is_refused_with_the_reason(archive, tmp_path):
    with zipfile.ZipFile(tmp_path / "locked.zip", "w") as file:
        file.writestr("one.mid", (tmp_path / "0.mid").read_bytes())
    changed(tmp_path / "locked.zip", "one.mid", 6, 1)
    with pytest.raises(ValueError, match=r"locked\.zip must be a zip.*: one\.mid is encrypted$"):
        inspect_songs(str(tmp_path / "locked.zip"))


def test_one_file_is_named_as_it_is_given(tmp_path, capsys):
    (tmp_path / "x.mid").write_bytes(b"no song")
    inspect_songs(str(tmp_path / "x.mid"))
    assert f"{tmp_path / 'x.mid'}: is no MIDI file" in capsys.readouterr().out


def test_other_sources_stay_as_they_are(tmp_path):
    assert imported_folder("composed") == "composed"
    assert imported_folder(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK no archive"])
def test_a_damaged_zip_is_named(tmp_path, content):
    (tmp_path / "songs.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"songs\.zip must be a zip of songs"):
        SongWindowDataset(str(tmp_path / "songs.zip"))
