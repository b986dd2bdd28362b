"""An argument of a file that is not of the declared type is refused before anything is built."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from multigan.core.argument_types import check_arguments, fits
from multigan.core.serialization import component, from_config, get_component

NAN = float("nan")
CASES = [
    (int, [1, -3], [True, 1.0, "1", None, [1]]),
    (float, [1, 0.5, float("inf")], [NAN, True, "x", None]),
    (bool, [True], [1, 0, "true", None]),
    (str, ["", "a"], [1, None, ["a"]]),
    (int | None, [1, None], ["a", 0.5]),
    (tuple[int, ...], [(), [1, 2]], [1, ["a"], "ab", [NAN]]),
    (tuple[int, str], [(1, "a")], [(1,), ("a", 1), (1, "a", 2)]),
    (Sequence[int] | int, [3, (1, 2)], ["ab", {"a": 1}]),
    (Mapping[str, float], [{}, {"a": 1}], [{"a": "b"}, [1]]),
    (Literal["a", "b"], ["a"], ["c", 1]),
    (Any, [object(), NAN], []),
    (object, [1, "a"], []),
]


@pytest.mark.parametrize("hint, fitting, others", CASES)
def test_values_fit_the_types_of_json_that_are_declared(hint, fitting, others):
    assert all(fits(value, hint) for value in fitting)
    assert not any(fits(value, hint) for value in others)


@pytest.mark.parametrize(
    "domain, name, argument, value",
    [
        ("image", "DCGANGenerator", "latent_dim", "x"),
        ("text", "TextGenerator", "length", NAN),
        ("text", "TextGenerator", "tie_embeddings", "no"),
        ("music", "MusicGenerator", "steps", None),
        ("points", "MLPGenerator", "width", [[]]),
    ],
)
def test_a_description_of_another_type_is_refused_in_one_line(domain, name, argument, value):
    get_component(f"{domain}/{name}")
    with pytest.raises(ValueError, match=f"{argument} must be .*; got ") as error:
        from_config({"component": f"{domain}/{name}", "arguments": {argument: value}})
    assert "\n" not in str(error.value)


def test_names_for_type_checkers_alone_are_not_checked():
    @component
    class Thing:
        def __init__(self, a: "Unknown", b: int = 1) -> None:  # noqa: F821
            self.a = a

    check_arguments(Thing, {"a": object()})
    with pytest.raises(ValueError, match="b must be int; got 'x'"):
        check_arguments(Thing, {"a": 1, "b": "x"})


def test_a_network_in_the_place_of_a_number_is_refused_in_one_line():
    inner = {"component": "points/MLPGenerator", "arguments": {"width": 4, "depth": 1}}
    outer = {"component": "points/MLPGenerator", "arguments": {"width": inner, "depth": 1}}
    with pytest.raises(ValueError, match="width must be int") as raised:
        from_config(outer)
    assert "\n" not in str(raised.value)
