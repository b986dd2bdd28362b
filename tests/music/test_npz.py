import json

import numpy as np
import pytest

from multigan.music.formats.npz import load_songs, save_songs
from multigan.music.formats.song import KeySignature, Song, TimeSignature, Track
from multigan.music.representations.pianoroll import from_pianoroll
from tests.music.pianoroll_factory import VOICES, random_header, random_roll


def songs(count=5):
    made = {}
    for seed in range(count):
        rng = np.random.default_rng(seed)
        made[f"song {seed}"] = from_pianoroll(
            random_roll(rng, 40), VOICES, **random_header(rng, 120)
        )
    return made


def test_songs_come_back_as_they_were(tmp_path):
    kept = songs()
    kept["silent"] = Song(
        (Track("нем"),),
        960,
        84.5,
        (TimeSignature(0, 3, 4), TimeSignature(480, 4, 4)),
        480,
        KeySignature(3),
    )
    save_songs(kept, tmp_path / "songs.npz")
    back = load_songs(tmp_path / "songs.npz")
    assert back == kept and list(back) == list(kept)


def test_no_songs_come_back_as_none(tmp_path):
    save_songs({}, tmp_path / "songs.npz")
    assert load_songs(tmp_path / "songs.npz") == {}


def test_the_same_songs_make_the_same_bytes_and_leave_no_other_file(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_songs(songs(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "songs.npz"
    save_songs(songs(1), path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_songs(songs(2), path)
    assert load_songs(path) == songs(1) and list(tmp_path.iterdir()) == [path]


def test_what_is_no_set_of_songs_gets_one_line(tmp_path):
    path = tmp_path / "songs.npz"
    save_songs(songs(1), path)
    whole = path.read_bytes()
    header = np.frombuffer(json.dumps([{"name": "x"}]).encode(), np.uint8)
    other = tmp_path / "other.npz"
    np.savez(other, notes=np.zeros((0, 5), np.int32), header=header)
    for content in (b"", b"text", whole[: len(whole) // 2], other.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="must be a file of songs") as caught:
            load_songs(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="import it again"):
        load_songs(tmp_path / "none.npz")
