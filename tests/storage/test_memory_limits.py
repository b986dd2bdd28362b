"""The memory of a described network is checked before it is allocated."""

import contextlib
import json
from functools import partial
from threading import Thread

import pytest
import torch
from torch import nn

from multigan.core.protocols import Sampler
from multigan.core.recipe_file import recipe_names
from multigan.core.serialization import from_config, to_config
from multigan.runs.evaluate import evaluate
from multigan.storage.loading import load
from multigan.storage.memory_limits import (
    MAX_NETWORK_BYTES,
    MAX_TENSORS,
    build_on_meta,
    memory_budget,
)
from multigan.storage.weights import save_weights
from multigan.training.launch import resume
from tests.fuzz.harness import Fed, memory_limit, peak_memory, time_limit
from tests.run_helpers import edit_json, tiny_recipe, train_tiny

MIB = 2**20
SMALL = {"width": 8, "depth": 2}


@pytest.mark.parametrize("name", recipe_names())
def test_a_network_on_meta_has_its_shapes_and_no_memory(name):
    recipe = tiny_recipe(name)
    for network in (recipe.generator, recipe.discriminator):
        found = build_on_meta(json.loads(json.dumps(to_config(network))))
        assert isinstance(found, type(network))
        tensors, wanted = found.state_dict(), network.state_dict()
        assert {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in wanted.items()}
        assert all(tensor.is_meta for tensor in tensors.values())


def test_memory_is_counted_exactly():
    generator = {"component": "points/MLPGenerator", "arguments": SMALL}
    network = from_config(generator)
    room = sum(x.numel() * 4 for x in [*network.parameters(), *network.buffers()])
    assert build_on_meta(generator, max_bytes=room) is not None
    with pytest.raises(ValueError, match=f"got {room:,} bytes or more in .* tensors"):
        build_on_meta(generator, max_bytes=room - 1)


@pytest.fixture
def bounded():
    """A test with bounded time and memory."""
    fed = Fed()
    with time_limit(), memory_limit(), peak_memory(fed):
        yield
    assert fed.peak_bytes < 200 * MIB


ENORMOUS = [
    ("points/MLPGenerator", {"width": 10**5, "depth": 2}),
    ("points/MLPGenerator", {"width": 10**7, "depth": 2}),
    ("points/MLPGenerator", {"width": 1, "depth": 10**6}),
    ("points/MLPDiscriminator", {"width": 10**9}),
    ("image/R3GANGenerator", {"resolution": 8, "channels": 3, "widths": [40_000, 8]}),
    ("image/DCGANGenerator", {"resolution": 8, "channels": 3, "widths": [3 * 10**8]}),
    ("text/TextGenerator", {"vocabulary_size": 10**8, "length": 8, "width": 256}),
    ("text/TextCNN", {"vocabulary_size": 10**8}),
]


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(("name", "arguments"), ENORMOUS)
def test_an_enormous_network_is_refused_before_it_is_built(name, arguments):
    with pytest.raises(ValueError, match=r"a described network must take at most [\d,]+ bytes"):
        build_on_meta({"component": name, "arguments": arguments})


HIDDEN = {"component": "points/MLPGenerator", "arguments": {"width": 50_000}}  # 10 GB and more


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("place", ["generator", "domain"])
def test_a_weight_file_holds_no_network_that_is_much_larger(place, tmp_path, monkeypatch):
    recipe, path = tiny_recipe("points"), tmp_path / "generator.safetensors"
    parts = {"generator": to_config(recipe.generator), "domain": to_config(recipe.data.domain)}
    save_weights(path, recipe.generator, parts)
    assert isinstance(load(path), Sampler)
    save_weights(path, recipe.generator, parts | {place: HIDDEN})
    monkeypatch.setattr(
        "multigan.storage.loading.from_config", lambda *_: pytest.fail("it was built")
    )
    with pytest.raises(ValueError, match="width must be at most 16,384; got 50000") as caught:
        load(path)
    monkeypatch.setattr("multigan.storage.loading.check_described_numbers", lambda _: None)
    with pytest.raises(ValueError, match="a described network must take at most") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("field", "described"),
    [
        ("generator", HIDDEN),
        ("discriminator", {"component": "points/MLPDiscriminator", "arguments": {"width": 50_000}}),
        ("data", HIDDEN),
        ("data", {"component": "points/GaussianMixture", "arguments": {"size": [HIDDEN]}}),
        ("augment", HIDDEN),
    ],
)
def test_a_run_with_an_enormous_network_anywhere_is_refused(field, described, tmp_path):
    run = train_tiny("points", tmp_path / "run").path
    recipe = json.loads((run / "recipe.json").read_text())["recipe"] | {field: described}
    edit_json(run / "recipe.json", recipe=recipe)
    with pytest.raises(ValueError, match="a described network must take at most"):
        resume(run, steps=12, show=False)
    if field == "data":
        with pytest.raises(ValueError, match="a described network must take at most"):
            evaluate(run)


def test_a_network_may_be_as_large_as_its_weights_say():
    assert (
        memory_budget(3 * MAX_NETWORK_BYTES) > 3 * MAX_NETWORK_BYTES and memory_budget(0) <= 2**30
    )
    assert MAX_TENSORS > 10_000


def test_other_threads_are_not_counted(monkeypatch):
    other = partial(nn.Linear, 10**4, 10**3, device="meta")

    class Waits(nn.Module):
        def __init__(self):
            super().__init__()
            thread = Thread(target=other)
            thread.start()
            thread.join()

    monkeypatch.setattr("multigan.core.serialization.get_component", lambda *_: Waits)
    found = build_on_meta({"component": "points/Waits", "arguments": {}}, max_bytes=0)
    assert isinstance(found, Waits)


def test_modules_without_tensors_are_counted(monkeypatch):
    def many():
        return nn.Sequential(*(nn.Identity() for _ in range(MAX_TENSORS + 1)))

    monkeypatch.setattr("multigan.core.serialization.get_component", lambda *_: many)
    with pytest.raises(ValueError, match="a described network must take at most"):
        build_on_meta({"component": "points/many", "arguments": {}})


class ReadsValue(nn.Module):
    """A network whose constructor reads the value of a tensor."""

    def __init__(self):
        super().__init__()
        self.size = int(torch.ones(()))


class Suppresses(nn.Module):
    """A network whose constructor suppresses the error of the limit."""

    def __init__(self):
        super().__init__()
        with contextlib.suppress(MemoryError):
            self.register_buffer("large", torch.zeros(10**10))


def test_a_network_that_cannot_be_built_on_meta_is_left_to_its_constructor(monkeypatch):
    assert build_on_meta({"component": "nowhere/at all", "arguments": {}}) is None
    monkeypatch.setattr("multigan.core.serialization.get_component", lambda *_: ReadsValue)
    assert build_on_meta({"component": "points/ReadsValue", "arguments": {}}) is None


def test_a_network_that_suppresses_the_error_is_refused(monkeypatch):
    monkeypatch.setattr("multigan.core.serialization.get_component", lambda *_: Suppresses)
    with pytest.raises(ValueError, match="a described network must take at most"):
        build_on_meta({"component": "points/Suppresses", "arguments": {}})
