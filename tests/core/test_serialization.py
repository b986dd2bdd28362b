"""Components remember their arguments, and JSON can rebuild them and nothing else."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from multigan.core.serialization import (
    RECIPE_MODULE,
    component,
    component_name,
    from_config,
    get_component,
    to_config,
)
from multigan.points.dataset import GaussianMixture
from multigan.points.domain import PointsDomain
from multigan.points.models import MLPDiscriminator, MLPGenerator

HOSTILE = [
    "os/system",
    "builtins/eval",
    "points/__init__",
    "points/load",
    "points/COMPONENTS",
    "points/multigan.points.dataset:GaussianMixture",
    "../x",
    "/etc/passwd",
    "points",
    "",
    None,
    ["points/MLPGenerator"],
]


def test_a_component_remembers_its_arguments_and_defaults():
    @component
    class Network:
        def __init__(self, latent_dim, width=128, *, depth):
            pass

    arguments = {"latent_dim": 3, "width": 128, "depth": 2}
    assert Network(3, depth=2)._component_arguments == arguments
    stored = to_config(MLPGenerator(depth=2))
    assert stored["component"] == "points/MLPGenerator" and stored["arguments"]["depth"] == 2


def test_a_tree_of_components_comes_back_with_sequences_as_tuples():
    tree = {"domain": PointsDomain(), "sizes": [1, (2.5, None)], "file": Path("a/b")}
    description = to_config(tree)
    assert description["sizes"] == [1, [2.5, None]] and description["file"] == "a/b"
    again = from_config(description)
    assert again["domain"] == PointsDomain() and again["sizes"] == (1, (2.5, None))


def test_a_subclass_answers_for_its_own_arguments():
    @component
    class Parent:
        def __init__(self, a):
            self.a = a

    @component
    class Child(Parent):
        def __init__(self, b):
            super().__init__(a=b + 1)

    class Undecorated(Parent):
        pass

    assert Child(1)._component_arguments == {"b": 1} and Child(1).a == 2
    assert "_component_arguments" not in vars(Undecorated(1))


def test_frozen_dataclasses_can_be_components():
    @component
    @dataclass(frozen=True)
    class Frozen:
        a: int = 1

    assert Frozen(2)._component_arguments == {"a": 2} and Frozen(2) == Frozen(2) != Frozen()


def test_what_json_cannot_rebuild_is_refused_by_its_type():
    with pytest.raises(ValueError, match=r"decorated with @component, .* or JSON; got a function"):
        to_config({"augment": to_config})
    with pytest.raises(ValueError, match="got a object"):
        to_config([object()])


@pytest.mark.parametrize("name", HOSTILE, ids=str)
def test_no_name_outside_the_tables_is_ever_found(name):
    with pytest.raises(ValueError, match="component"):
        from_config({"component": name, "arguments": {}})


def test_an_unknown_component_is_an_error_with_the_known_ones():
    with pytest.raises(ValueError, match="points has no such component; known: Gaussian"):
        get_component("points/Transformer")
    with pytest.raises(ValueError, match=r"unknown domain 'pionts'; known: .*points"):
        get_component("pionts/MLPGenerator")


@pytest.mark.parametrize(
    "arguments",
    [{"wdith": 3}, ["a list"], {"self": 1}, {"width": "wide"}, {"width": None}],
    ids=str,
)
def test_arguments_that_a_constructor_refuses_are_one_line(arguments):
    with pytest.raises(ValueError, match="points/MLPGenerator") as caught:
        from_config({"component": "points/MLPGenerator", "arguments": arguments})
    assert "\n" not in str(caught.value)


def test_a_class_of_a_recipe_file_needs_the_trusted_file():
    module = ModuleType(RECIPE_MODULE)
    mine = component(type("Mine", (), {"__init__": lambda self: None, "__module__": RECIPE_MODULE}))
    module.Mine, module.Path = mine, Path  # type: ignore[attr-defined]
    assert component_name(mine) == "recipe/Mine"
    assert isinstance(from_config({"component": "recipe/Mine", "arguments": {}}, module), mine)
    with pytest.raises(ValueError, match="pass that file with --trust-recipe FILE"):
        from_config({"component": "recipe/Mine", "arguments": {}})
    for name in ("Path", "Missing", "__name__", "Mine.__init__"):
        with pytest.raises(ValueError, match="the trusted recipe file defines no class"):
            get_component(f"recipe/{name}", module)


def test_a_class_outside_every_table_has_no_name():
    with pytest.raises(ValueError, match="must be in the COMPONENTS table of a domain"):
        component_name(HOSTILE.__class__)
    assert component_name(GaussianMixture) == "points/GaussianMixture"
    assert component_name(MLPDiscriminator) == "points/MLPDiscriminator"
