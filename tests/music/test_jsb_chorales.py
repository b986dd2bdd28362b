"""Reading the chorales, and refusing what is no such file in one line."""

import json

import pytest
import torch

from multigan.music.datasets.jsb_chorales import (
    STANDARD,
    count,
    read_jsb,
    read_pieces,
    sliding_windows,
)
from tests.music.jsb_data import FILE, needs_chorales

PIECE = [[60, 55, 48, 36], [60, 55, -1, 36]]
SPLITS = {"train": [PIECE, PIECE], "valid": [PIECE], "test": [PIECE]}


def written(folder, content):
    file = folder / "chorales.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_pieces_come_back_as_written(tmp_path):
    pieces = read_pieces(written(tmp_path, SPLITS | {"made by": "hand"}))
    assert {split: len(found) for split, found in pieces.items()} == {
        "train": 2,
        "valid": 1,
        "test": 1,
    }
    assert pieces["test"][0].dtype == torch.int8
    assert pieces["test"][0].tolist() == PIECE


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no JSON"),
        ('{"train": [[[60, 55', "no JSON"),
        ([PIECE], "must be a dict of lists of pieces: train, valid, test"),
        ({"train": [PIECE], "valid": [PIECE]}, "must be a dict of lists of pieces"),
        (SPLITS | {"test": []}, "must be a dict of lists of pieces"),
        (SPLITS | {"test": {"a": PIECE}}, "must be a dict of lists of pieces"),
        (SPLITS | {"valid": [PIECE, []]}, "valid piece 1 must have steps of 4 whole numbers"),
        (SPLITS | {"valid": [PIECE, [[60, 55, 48]]]}, "valid piece 1 must have steps of 4"),
        (SPLITS | {"valid": [PIECE, [*PIECE, [60]]]}, "valid piece 1 must have steps of 4"),
        (SPLITS | {"valid": [[[60.5, 55, 48, 36]]]}, "valid piece 0 must have steps of 4"),
        (SPLITS | {"valid": [[["C4", 55, 48, 36]]]}, "valid piece 0 must have steps of 4"),
        (SPLITS | {"valid": [None]}, "valid piece 0 must have steps of 4"),
        (SPLITS | {"test": [[[60, 55, 48, 128]]]}, "test piece 0 must have MIDI pitches 0 to 127"),
        (SPLITS | {"test": [[[60, 55, 48, -2]]]}, "test piece 0 must have MIDI pitches 0 to 127"),
        (SPLITS | {"test": [[[10**30, 55, 48, 36]]]}, "test piece 0 must have"),
    ],
)
def test_what_is_no_file_of_chorales_is_refused_in_one_line(tmp_path, content, complaint):
    file = written(tmp_path, content)
    with pytest.raises(ValueError, match=complaint) as refused:
        read_pieces(file)
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json: No such file.*Jsb16thSeparated\.json of"):
        read_jsb(tmp_path / "none.json")
    with pytest.raises(ValueError, match=r"Is a directory|Permission denied"):
        read_jsb(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    file = tmp_path / "chorales.npz"
    file.write_bytes(b"PK\x03\x04\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match="no JSON"):
        read_jsb(file)


def test_a_file_that_is_not_the_standard_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"pieces of train: 2; the standard .* has 229"):
        read_jsb(written(tmp_path, SPLITS))


def test_counts_are_those_of_the_pieces():
    found = count([torch.tensor([[60, -1], [62, -1]]), torch.tensor([[59, -1]])])
    assert found == (2, 3, 3, 1, 2, (59, -1), (62, -1))


def test_windows_are_complete_and_start_at_every_hop():
    piece = torch.arange(11)[:, None].expand(11, 4)
    windows = sliding_windows([piece, piece[:3], piece[:4] + 50], steps=4, hop=3)
    assert windows.shape == (4, 4, 4)
    assert windows[:, :, 0].tolist() == [
        [0, 1, 2, 3],
        [3, 4, 5, 6],
        [6, 7, 8, 9],
        [50, 51, 52, 53],
    ]
    assert torch.equal(windows[:, :, 0], windows[:, :, 3])


def test_windows_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match="steps and hop must be 1 or more"):
        sliding_windows([torch.zeros(40, 4)], hop=0)
    with pytest.raises(ValueError, match="no piece is 32 steps long"):
        sliding_windows([torch.zeros(31, 4)])


@needs_chorales
def test_the_standard_file_has_the_published_counts():
    pieces = read_jsb(FILE)
    assert {split: len(sliding_windows(found)) for split, found in pieces.items()} == {
        "train": 3176,
        "valid": 1058,
        "test": 1088,
    }
    assert [len(sliding_windows(found, 32, 32)) for found in pieces.values()] == [1665, 552, 570]
    assert [len(sliding_windows(found, 64, 16)) for found in pieces.values()] == [2718, 906, 934]
    assert [len(sliding_windows(found, 128, 16)) for found in pieces.values()] == [1803, 602, 626]
    assert min(c.lowest[3] for c in STANDARD.values()) == 36
    assert max(c.highest[0] for c in STANDARD.values()) == 81


@needs_chorales
def test_a_changed_standard_file_is_refused(tmp_path):
    splits = json.loads(FILE.read_bytes())
    splits["test"][5][17][0] = 82
    with pytest.raises(ValueError, match=r"highest of test: \(82, 74, 69, 64\); the standard"):
        read_jsb(written(tmp_path, splits))
