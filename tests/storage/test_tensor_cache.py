"""A cached file is what was stored, or it is made again; an unwritable folder is a warning."""

import os

import pytest
import torch
from safetensors.torch import save_file

from multigan.storage.tensor_cache import load_network, load_tensors, store_tensors

TENSORS = {
    "a": torch.arange(12, dtype=torch.uint8).reshape(3, 4),
    "b": torch.tensor(2.5),
    "c": torch.zeros(0, 3),
    "d": torch.arange(6.0).reshape(2, 3).T,
}


def test_stored_tensors_are_loaded(tmp_path):
    store_tensors(tmp_path / "new" / "x", TENSORS, {"key": "value"})
    found, metadata = load_tensors(tmp_path / "new" / "x")
    assert metadata == {"key": "value"} and found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x"]


@pytest.mark.parametrize("damage", ["zeroed", "cut", "flipped", "other", "text", "missing"])
def test_any_damage_makes_it_absent(damage, tmp_path):
    file = tmp_path / "x"
    store_tensors(file, TENSORS, {"key": "value"})
    whole = file.read_bytes()
    half = len(whole) - 20
    if damage == "other":
        save_file({"a": TENSORS["a"]}, file, metadata={"key": "value"})
    elif damage == "missing":
        file.unlink()
    else:
        flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        contents = {"zeroed": whole[:half] + bytes(20), "cut": whole[:half], "text": b"no tensors"}
        file.write_bytes({**contents, "flipped": flipped}[damage])
    assert load_tensors(file) is None


def test_leftover_temporaries_are_swept_and_fresh_ones_stay(tmp_path):
    names = (".x.safetensors.1.tmp", ".y.safetensors.2.tmp", ".draft.tmp")
    old, fresh, other = (tmp_path / name for name in names)
    for file in (old, fresh, other):
        file.write_bytes(b"")
    for file in (old, other):
        os.utime(file, (0, 0))
    store_tensors(tmp_path / "x.safetensors", TENSORS, {})
    assert not old.exists() and fresh.exists()
    assert other.exists()  # it is of no cache


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(UserWarning, match="cannot be written: .*; set XDG_CACHE_HOME"):
        store_tensors(tmp_path / "file" / "x", TENSORS, {})


@pytest.mark.parametrize("other", ["names", "shapes", "types", "no file"])
def test_a_network_takes_only_a_state_of_its_own_and_else_stays_as_it_is(other, tmp_path):
    network = torch.nn.Linear(2, 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = {
        "names": {"x": torch.zeros(3, 2), "bias": torch.zeros(3)},
        "shapes": {"weight": torch.zeros(4, 2), "bias": torch.zeros(3)},
        "types": {"weight": torch.zeros(3, 2).half(), "bias": torch.zeros(3)},
    }
    if other in states:
        store_tensors(tmp_path / "x", states[other], {})
    assert load_network(tmp_path / "x", network) is None
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)
    store_tensors(tmp_path / "x", torch.nn.Linear(2, 3).state_dict(), {"rows": "1"})
    assert load_network(tmp_path / "x", network) == {"rows": "1"}
