import os

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.datasets import song_windows, split_tensors
from multigan.music.datasets.midi_folder import import_midi_folder
from multigan.music.datasets.song_windows import SongWindowDataset, load_splits
from multigan.music.datasets.synthetic_songs import generate_songs
from multigan.music.formats.midi import write_midi
from multigan.storage.tensor_cache import load_tensors


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for k, piece in enumerate(generate_songs("satb", 4, keyed_rng(3, "x"))):
        write_midi(piece.song, tmp_path / "in" / f"{k}.mid")
    import_midi_folder(str(tmp_path / "in"), out=str(tmp_path / "out"))
    yield tmp_path / "out"
    load_splits.cache_clear()


def contents(data):
    load_splits.cache_clear()
    batch = data.batch(torch.arange(len(data)), keyed_rng(0, "x"))
    return batch.x, data.fingerprint, data.pieces.tolist(), data.data_counts().to_json()


def caches(folder):
    return sorted(folder.glob("windows-*.safetensors"))


def same(one, other):
    return torch.equal(one[0], other[0]) and one[1:] == other[1:]


def test_cached_windows_are_those_that_were_encoded(folder, monkeypatch):
    first = contents(SongWindowDataset(str(folder)))
    assert len(caches(folder)) == 1
    monkeypatch.setattr(song_windows, "_load_splits", None)
    load_splits.cache_clear()
    assert same(first, contents(SongWindowDataset(str(folder))))


@pytest.mark.parametrize("damage", [b"", b"PK no archive", "flip", "half"])
def test_a_damaged_cache_is_made_again(folder, damage):
    first = contents(SongWindowDataset(str(folder)))
    file = caches(folder)[0]
    whole = file.read_bytes()
    middle = len(whole) // 2
    broken = {
        "flip": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "half": whole[:middle] + bytes(len(whole) - middle),
    }
    file.write_bytes(broken.get(damage, damage))
    load_splits.cache_clear()
    assert same(first, contents(SongWindowDataset(str(folder))))
    assert load_tensors(file) is not None


def test_other_windows_get_caches_of_their_own_and_few_are_kept(folder):
    for steps_per_quarter in (4, 6, 8, 12, 24):
        load_splits.cache_clear()
        data = SongWindowDataset(str(folder), steps_per_quarter=steps_per_quarter)
        assert data.domain.grid.quarter_steps == steps_per_quarter
    assert len(caches(folder)) == 4


def test_files_of_the_user_next_to_the_songs_are_kept(folder, monkeypatch):
    monkeypatch.setattr(split_tensors, "MAX_CACHES", 1)
    own = [folder / name for name in ("windows-notes.txt", "windows-more.txt", ".draft.tmp")]
    for file in own:
        file.write_text("mine")
        os.utime(file, (0, 0))
    for steps_per_quarter in (4, 6):
        load_splits.cache_clear()
        SongWindowDataset(str(folder), steps_per_quarter=steps_per_quarter)
    assert len(caches(folder)) == 1 and all(file.exists() for file in own)


def test_a_cache_that_cannot_be_written_is_a_warning(folder, monkeypatch):
    def refuse(path, tensors, metadata):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("multigan.storage.tensor_cache.save_tensors", refuse)
    load_splits.cache_clear()
    told = "cannot be written: .*Read-only file system; nothing is kept"
    with pytest.warns(UserWarning, match=told):
        assert len(SongWindowDataset(str(folder)))
