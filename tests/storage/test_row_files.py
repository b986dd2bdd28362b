"""Rows that are stored are read back by index; a damaged file is absent."""

import pickle

import numpy as np
import pytest
import torch

from multigan.storage.dataset_memory import available_memory, fits_in_memory
from multigan.storage.row_files import (
    TAIL,
    RowWriter,
    open_once,
    open_rows,
    read_rows,
    row_blocks,
)

ROWS = np.arange(120, dtype=np.uint8).reshape(10, 3, 2, 2)
DESCRIPTION = ["a", {"b": 1}]


def stored(file, rows=ROWS, in_memory=False):
    with RowWriter(rows.shape[1:], str(rows.dtype), None if in_memory else file.parent) as writer:
        writer.append(rows[:4])
        writer.append(rows[4:])
        writer.save(file, DESCRIPTION)
    return open_rows(file)


@pytest.mark.parametrize("in_memory", [False, True])
def test_rows_are_read_by_index_in_any_order(in_memory, tmp_path):
    found, description = stored(tmp_path / "x", in_memory=in_memory)
    assert description == DESCRIPTION and found.shape == ROWS.shape
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    for index in ([3, 4, 5, 1, 9, 9, 0], [], [7]):
        rows = found[torch.tensor(index, dtype=torch.long)]
        rows.prefetch()
        assert np.array_equal(rows.read().numpy(), ROWS[index])
    odd = found[torch.arange(10) % 2 == 1]
    assert np.array_equal(odd[torch.tensor([1, 0])].read().numpy(), ROWS[[3, 1]]), "of a selection"
    assert np.array_equal(found[2:5].read().numpy(), ROWS[2:5])


def test_floats_and_single_numbers_are_rows_too(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 1)).astype("float32")
    found, _ = stored(tmp_path / "x", values)
    assert np.array_equal(found.read().numpy(), values)


def test_blocks_are_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("multigan.storage.row_files.BLOCK_BYTES", 40)  # three rows
    found, _ = stored(tmp_path / "x")
    for rows in (found, torch.from_numpy(ROWS)):
        blocks = list(row_blocks(rows))
        assert [len(block) for block in blocks] == [3, 3, 3, 1]
        assert np.array_equal(torch.cat(blocks).numpy(), ROWS)
    assert read_rows(blocks[0]) is blocks[0]


@pytest.mark.parametrize("in_memory", [False, True])
def test_rows_are_overwritten_left_out_and_made_smaller(in_memory, tmp_path, monkeypatch):
    monkeypatch.setattr("multigan.storage.row_files.BLOCK_BYTES", 40)
    keep = np.arange(10) != 4
    with RowWriter(ROWS.shape[1:], "uint8", None if in_memory else tmp_path) as writer:
        writer.append(ROWS)
        writer.overwrite(2, ROWS[:1] + 100)
        writer.rewrite((1, 2, 2), lambda first, rows: rows[keep[first : first + len(rows)], :1])
        writer.save(tmp_path / "x", None)
        assert writer.count == 9
    expected = ROWS.copy()
    expected[2] = ROWS[0] + 100
    assert np.array_equal(open_rows(tmp_path / "x")[0].read().numpy(), expected[keep, :1])


def test_what_is_not_saved_leaves_nothing(tmp_path):
    with RowWriter((2,), "uint8", tmp_path) as writer:
        writer.append(np.zeros((3, 2), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["a row", "text", "tail", "cut", "longer", "empty", "count"])
def test_a_damaged_file_is_absent(damage, tmp_path):
    file = tmp_path / "x"
    stored(file)
    content = bytearray(file.read_bytes())
    place = {"a row": 5, "text": ROWS.nbytes + 3, "tail": len(content) - TAIL.size}.get(damage)
    if place is not None:
        content[place] ^= 1
    content = {"cut": content[:-1], "longer": content + b"x", "empty": b""}.get(damage, content)
    if damage == "count":
        content = bytes(content).replace(b'"count": 10', b'"count": 11')
    file.write_bytes(content)
    assert open_rows(file) is None
    assert open_rows(tmp_path / "missing") is None


def test_a_copy_of_a_worker_reads_the_same_file_and_a_deleted_one_stays_open(tmp_path):
    found, _ = stored(tmp_path / "x")
    assert np.array_equal(pickle.loads(pickle.dumps(found))[2:4].read().numpy(), ROWS[2:4])
    alone = open_once(tmp_path / "x")
    assert not list(tmp_path.iterdir()) and np.array_equal(alone.read().numpy(), ROWS)


def test_a_file_that_becomes_short_is_an_error(tmp_path):
    found, _ = stored(tmp_path / "x")
    with (tmp_path / "x").open("rb+") as file:
        file.truncate(20)
    with pytest.raises(OSError, match="has become shorter"):
        found.read()


def test_data_are_in_memory_by_their_size(monkeypatch):
    monkeypatch.setattr("multigan.storage.dataset_memory.available_memory", lambda: 1000)
    assert [fits_in_memory(n) for n in (0, 250, 251)] == [True, True, False]
    assert fits_in_memory(10**15, "yes") and not fits_in_memory(0, "no")
    monkeypatch.setattr("multigan.storage.dataset_memory.available_memory", lambda: None)
    assert [fits_in_memory(n) for n in (1 << 30, (1 << 30) + 1)] == [True, False]
    with pytest.raises(ValueError, match="in_memory must be one of auto, yes, no; got 'perhaps'"):
        fits_in_memory(0, "perhaps")


def test_the_available_memory_is_a_part_of_it_all():
    found = available_memory()
    assert found is None or 1 << 20 < found < 1 << 50
