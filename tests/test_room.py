"""What a description asks for is known before it is given: nothing enormous is ever allocated."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from multigan.contract import Sampler
from multigan.part import describe, rebuild
from multigan.recipe_file import recipe_names
from multigan.room import MOST_BYTES, MOST_TENSORS, most_bytes, sketch
from multigan.run.evaluate import evaluate
from multigan.run.start import resume
from multigan.sampler import load
from multigan.weights import read_weights, save_weights
from tests.fuzz.feeding import Fed, memory_limit, peak_memory, time_limit
from tests.runs import edit_json, tiny_recipe, train_tiny

MIB = 2**20
SMALL = {"width": 8, "depth": 2}


@pytest.mark.parametrize("name", recipe_names())
def test_a_sketch_is_the_network_without_its_memory(name):
    recipe = tiny_recipe(name)
    for network in (recipe.generator, recipe.discriminator):
        found = sketch(json.loads(json.dumps(describe(network))))
        assert isinstance(found, type(network))
        tensors, wanted = found.state_dict(), network.state_dict()
        assert {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in wanted.items()}
        assert all(tensor.is_meta for tensor in tensors.values())


def test_room_is_counted_exactly():
    generator = {"part": "points/MLPGenerator", "arguments": SMALL}
    network = rebuild(generator)
    room = sum(x.numel() * 4 for x in [*network.parameters(), *network.buffers()])
    assert sketch(generator, most=room) is not None
    with pytest.raises(ValueError, match=f"a network of {room:,} bytes or more in .* tensors"):
        sketch(generator, most=room - 1)


@pytest.fixture
def bounded():
    """A test that takes no more memory than a small machine has to spare."""
    fed = Fed()
    with time_limit(), memory_limit(), peak_memory(fed):
        yield
    assert fed.peak_bytes < 200 * MIB


ENORMOUS = [
    ("points/MLPGenerator", {"width": 10**5, "depth": 2}),
    ("points/MLPGenerator", {"width": 10**7, "depth": 2}),
    ("points/MLPGenerator", {"width": 1, "depth": 10**6}),
    ("points/MLPDiscriminator", {"octaves": 10**9}),
    ("image/R3Generator", {"resolution": 8, "channels": 3, "widths": [40_000, 8]}),
    ("image/DCGANGenerator", {"resolution": 8, "channels": 3, "widths": [3 * 10**8]}),
    ("text/TextGenerator", {"vocabulary": 10**8, "length": 8, "width": 256}),
    ("text/TextCNN", {"vocabulary": 10**8}),
]


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(("part", "arguments"), ENORMOUS)
def test_an_enormous_network_is_refused_before_it_is_built(part, arguments):
    with pytest.raises(ValueError, match=r"its description is of a network of [\d,]+ bytes"):
        sketch({"part": part, "arguments": arguments})


@pytest.fixture
def file(tmp_path):
    """A whole weight file, and what writes it again with another generator in its description."""
    recipe = tiny_recipe("points")
    path = tmp_path / "generator.safetensors"

    def write(**arguments):
        parts = {"generator": recipe.generator, "domain": recipe.data.domain}
        described = {name: describe(part) for name, part in parts.items()}
        described["generator"]["arguments"] |= arguments
        save_weights(path, recipe.generator, described)
        return path

    return write


def test_weights_that_say_what_they_are_load(file):
    assert isinstance(load(file()), Sampler)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({"width": 20_000}, "its description is of a network of"),  # 2.4 GB
        ({"width": 500}, "does not fit its network at"),  # less than the room beside every file
    ],
)
def test_a_weight_file_is_no_network_that_is_much_larger(file, arguments, answer, monkeypatch):
    built, path = [], file(**arguments)

    def building(description, trusted=None):
        built.append(description["part"])
        return rebuild(description, trusted)

    monkeypatch.setattr("multigan.sampler.rebuild", building)
    with pytest.raises(ValueError, match=answer) as caught:
        load(path)
    assert "\n" not in str(caught.value) and "points/MLPGenerator" not in built


HIDDEN = {"part": "points/MLPGenerator", "arguments": {"width": 50_000}}  # 20 GB


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("field", "described"),
    [
        ("generator", HIDDEN),
        ("discriminator", {"part": "points/MLPDiscriminator", "arguments": {"width": 50_000}}),
        ("data", HIDDEN),
        ("data", {"part": "points/GaussianMixture", "arguments": {"layout": [HIDDEN]}}),
        ("augment", HIDDEN),
    ],
)
def test_a_run_with_an_enormous_network_anywhere_is_refused(field, described, tmp_path):
    run = train_tiny("points", tmp_path / "run").path
    recipe = json.loads((run / "recipe.json").read_text())["recipe"] | {field: described}
    edit_json(run / "recipe.json", recipe=recipe)
    with pytest.raises(ValueError, match="its description is of a network of"):
        resume(run, steps=12, show=False)
    if field == "data":
        with pytest.raises(ValueError, match="its description is of a network of"):
            evaluate(run)


@pytest.mark.usefixtures("bounded")
def test_an_enormous_network_in_place_of_a_domain_is_refused(file):
    path = file()
    description, tensors = read_weights(path)
    text = json.dumps(description | {"domain": HIDDEN})
    save_file(tensors, path, metadata={"multigan": text})
    with pytest.raises(ValueError, match="its description is of a network of"):
        load(path)


def test_a_network_may_be_as_large_as_its_weights_say():
    assert most_bytes(3 * MOST_BYTES) > 3 * MOST_BYTES and most_bytes(0) < 2**27
    assert MOST_TENSORS > 10_000


class Stubborn(nn.Module):
    """A network that asks for a number while it is built."""

    def __init__(self):
        super().__init__()
        self.size = int(torch.ones(()))


def test_what_cannot_be_sketched_is_left_to_the_building(monkeypatch):
    monkeypatch.setattr("multigan.part.find_part", lambda *_: Stubborn)
    assert sketch({"part": "points/Stubborn", "arguments": {}}) is None
    assert sketch({"part": "nowhere/at all", "arguments": []}) is None
