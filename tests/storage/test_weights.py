"""A weight file carries its description; equal weights are equal bytes; other files are refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from multigan.core.serialization import to_config
from multigan.points.domain import PointsDomain
from multigan.points.models import MLPGenerator
from multigan.storage.checkpoint_integrity import resolve_weights_file, sha256
from multigan.storage.loading import load
from multigan.storage.weights import (
    load_matching,
    load_state,
    read_weights,
    save_weights,
    unique_state,
)

GENERATOR = {"component": "points/MLPGenerator", "arguments": {"width": 4, "depth": 1}}
DOMAIN = {"component": "points/PointsDomain", "arguments": {}}


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.register_buffer("count", torch.tensor(3))


def write_as(file, description, metadata=None):
    """A weight file of a small generator with any description."""
    tensors = unique_state(MLPGenerator(width=4, depth=1))
    save_file(tensors, file, metadata=metadata or {"multigan": json.dumps(description)})
    return file


def test_weights_and_description_come_back(tmp_path):
    network = Tied()
    save_weights(tmp_path / "a", network, {"domain": DOMAIN})
    description, tensors = read_weights(tmp_path / "a")
    assert description == {"format": 2, "domain": DOMAIN}
    again = Tied()
    load_state(again, tensors, tmp_path / "a")
    assert all(torch.equal(again.state_dict()[k], v) for k, v in network.state_dict().items())
    assert again.second.weight is again.first.weight


def test_a_tied_weight_is_saved_once():
    assert set(unique_state(Tied())) == {"first.weight", "first.bias", "second.bias", "count"}


def test_equal_weights_make_equal_bytes(tmp_path):
    network = Tied()
    save_weights(tmp_path / "a", network, {"x": 1, "y": {"b": 1, "a": 2}})
    save_weights(tmp_path / "b", network, {"y": {"a": 2, "b": 1}, "x": 1})
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    with safe_open(tmp_path / "a", framework="pt") as file:
        assert list(file.metadata()) == ["multigan"]


def test_a_file_that_does_not_fit_its_network_names_the_tensors(tmp_path):
    tensors = unique_state(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="does not fit its network at weight; was it"):
        load_state(nn.Linear(2, 2), tensors, tmp_path)
    with pytest.raises(ValueError, match=r"at 0\.bias, 0\.weight, bias, \.\.\.; was it"):
        load_state(nn.Sequential(nn.Linear(3, 2)), tensors, tmp_path)


def test_what_fits_is_loaded_and_the_rest_is_named():
    network, other = nn.Linear(2, 2), nn.Linear(3, 2)
    before = network.weight.detach().clone()
    assert load_matching(network, unique_state(other)) == ["weight"]
    assert torch.equal(network.bias, other.bias) and torch.equal(network.weight, before)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"format": 99}, "has format 99; this version reads format 2"),
        ([1], "must carry a description"),
        ({"format": 2, "generator": GENERATOR}, "names no domain"),
        ({"format": 2, "domain": DOMAIN}, "must describe a generator"),
        ({"format": 2, "domain": "points/PointsDomain", "generator": GENERATOR}, "names no domain"),
        ({"format": 2, "domain": GENERATOR, "generator": GENERATOR}, "must describe a domain"),
        ({"format": 2, "domain": DOMAIN, "generator": DOMAIN}, "must describe a generator"),
        (
            {
                "format": 2,
                "domain": DOMAIN,
                "generator": {"component": "os/system", "arguments": {}},
            },
            "unknown domain 'os'",
        ),
        (
            {"format": 2, "domain": {"component": "../x"}, "generator": GENERATOR},
            r"unknown domain '\.\.'",
        ),
        (
            {"format": 2, "domain": DOMAIN, "generator": {"component": "points/__init__"}},
            "points has no such component",
        ),
    ],
)
def test_an_invalid_or_hostile_description_is_refused_in_one_line(description, message, tmp_path):
    file = write_as(tmp_path / "mailed.safetensors", description)
    with pytest.raises(ValueError, match=message) as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_program_is_refused(tmp_path):
    other = write_as(tmp_path / "other", None, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="must carry a description by multigan"):
        load(other)
    broken = write_as(tmp_path / "broken", None, metadata={"multigan": "{not json"})
    text = tmp_path / "text"
    text.write_text("no weights")
    cut = write_as(tmp_path / "cut", {"format": 2})
    cut.write_bytes(cut.read_bytes()[:-4])
    for file in (broken, text, cut, tmp_path):
        with pytest.raises(ValueError, match=r"must be an intact|must be a run directory or"):
            load(file)
    with pytest.raises(ValueError, match="must be a run directory or a weight file"):
        resolve_weights_file(tmp_path / "missing")


def test_a_generator_of_another_domain_is_refused(tmp_path):
    generator = MLPGenerator(width=4, depth=1)
    description = {"domain": to_config(PointsDomain()), "generator": to_config(generator)}
    save_weights(tmp_path / "points", generator, description)
    assert len(load(tmp_path / "points", domain="points").sample(2)) == 2
    with pytest.raises(ValueError, match="of the domain 'image'; got 'points'"):
        load(tmp_path / "points", domain="image")


def test_loading_leaves_the_global_random_stream_alone(tmp_path):
    file = write_as(tmp_path / "a", {"format": 2, "domain": DOMAIN, "generator": GENERATOR})
    before = torch.get_rng_state()
    load(file)
    assert torch.equal(torch.get_rng_state(), before)
