"""A number that cannot be is refused in one line that names its option, before any work."""

import functools
import inspect
import json
import typing
import warnings

import pytest

from multigan.cli import app
from multigan.core.number_limits import LIMITS, MAX_NUMBER, MAX_SEED, check_number, number_limits
from multigan.core.recipe import recipe_to_json
from multigan.core.recipe_file import (
    build_recipe,
    read_recipe,
    recipe_names,
    resolve_hyperparameters,
)
from multigan.core.serialization import domain_table, domains, get_component, import_attribute
from multigan.core.signature import options_of
from tests.music.tiny import write_songs

RECIPES = list(recipe_names())
MAIN = [name for name in RECIPES if name in domains()]
NUMBERS = {
    f"{recipe} {item.name}": (recipe, item)
    for recipe in RECIPES
    for item in read_recipe(recipe).hyperparameters
    if item.type in (int, float)
}
BAD = {int: (-1, -(10**9), 10**10, 10**21), float: (-0.5, -1e9, 1e300, float("nan"),
                                                    float("inf"), -float("inf"))}  # fmt: skip
PRETRAINED = [name for name in ("image", "music", "text") if name in domains()]


def refusal(action, *arguments):
    """The one line with which something is refused."""
    with pytest.raises(ValueError) as error:
        action(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def said(command, capsys):
    """The one line with which a command refuses its numbers."""
    assert app.main(command) == 2, command
    (line,) = capsys.readouterr().err.splitlines()
    assert "internal" not in line, line
    return line


@pytest.mark.parametrize("name", NUMBERS)
def test_no_recipe_takes_an_impossible_number(name):
    recipe, item = NUMBERS[name]
    file = read_recipe(recipe)
    for value in BAD[item.type]:
        if item.name.endswith("seed") and abs(value) <= MAX_SEED:
            continue
        message = refusal(resolve_hyperparameters, file, {item.name: value}, True)
        assert message.startswith(f"{item.name} must be "), message


ZERO = [
    name
    for name, (recipe, item) in NUMBERS.items()
    if recipe in MAIN and number_limits().get(item.name, (0, 0))[0] == 0
]
# What a hyperparameter needs to have an effect, and another value where TINY has 0.
NEEDS = {"augment_p": {"augment": "ada"}, "mbstd_group_size": {"gamma": "0"}}
OTHER = {"mbstd_group_size": 4, "grid": 8, "gamma": 0.1, "burn_in": 0.1, "latent_dim": 4}


@functools.cache
def described(recipe, **values):
    """The recipe object as JSON, of a recipe with its TINY values and others."""
    file = read_recipe(recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = build_recipe(file, resolve_hyperparameters(file, values, True), 0)
    return json.dumps(recipe_to_json(built))


@pytest.fixture(scope="module")
def few_songs(tmp_path_factory):
    """A folder of imported songs, which is read faster than the default data of music."""
    folder = tmp_path_factory.mktemp("songs")
    write_songs(folder, songs=4)
    return {"data": str(folder)}


@pytest.mark.parametrize("name", ZERO)
def test_a_zero_that_passes_the_limits_is_used_or_refused(name, few_songs):
    recipe, item = NUMBERS[name]
    needs = NEEDS.get(item.name, {}) | (few_songs if recipe == "music" else {})
    tiny = resolve_hyperparameters(read_recipe(recipe), {}, True)[item.name]
    other = {} if tiny else {item.name: OTHER[item.name]}
    try:
        zero = described(recipe, **needs, **{item.name: item.type(0)})
    except ValueError as error:
        assert item.name in str(error) and "\n" not in str(error)
    else:
        assert zero != described(recipe, **needs, **other)


def test_no_option_has_different_limits_in_two_packages():
    tables = [LIMITS, *(domain_table(domain, "NUMBER_LIMITS") for domain in domains())]
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names)) == len(number_limits())


@pytest.mark.parametrize("domain", PRETRAINED)
def test_no_sampling_option_takes_an_impossible_number(domain, tmp_path, capsys):
    cls = get_component({"image": "image/ImageDomain", "music": "music/MusicDomain",
                         "text": "text/TextDomain"}[domain])  # fmt: skip
    options = [item for item in options_of(cls.sample) if item.type in (int, float)]
    assert options
    for item in options:
        flag = f"--{item.name.replace('_', '-')}"
        for value in BAD[item.type]:
            out = tmp_path / "out"
            line = said(["sample", domain, flag, str(value), "--out", str(out)], capsys)
            assert item.name in line and not out.exists()


@pytest.mark.parametrize(
    "command",
    ["sample points -n 0", "sample points -n -1", "sample points -n 100000000000",
     "interpolate points --num-paths 0", "interpolate points --num-steps 100000000000",
     "resume points --steps 0", "resume points --steps 1000000000000000000000",
     "evaluate points --seed 99999999999999999999", "studio points --port 70000",
     "studio points --port -1", "sample music --bars 100000", "sample music --tempo nan"],
)  # fmt: skip
def test_commands_name_the_option(command, points_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [str(points_run) if word == "points" else word for word in command.split()]
    line = said(words, capsys)
    name = words[2].lstrip("-").replace("-", "_")
    assert {"n": "num_samples"}.get(name, name) in line and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "option",
    ["--steps 1000000000000000000000", "--batch-size 100000000000", "--width 1000000000",
     "--width 0", "--lr nan", "--log-every 0", "--save-every -5", "--num-workers 1000000",
     "--patience 0", "--seed 99999999999999999999"],
)  # fmt: skip
def test_train_names_the_option(option, tmp_path, capsys):
    out = tmp_path / "out"
    line = said(["train", "points", "--tiny", "--out", str(out), *option.split()], capsys)
    assert option.split()[0][2:].replace("-", "_") in line and not out.exists()


COMMANDS = {
    f"{domain} {name}": place
    for domain in domains()
    for name, place in domain_table(domain, "COMMANDS").items()
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_of_a_domain_takes_an_impossible_number(name, tmp_path, capsys):
    function = import_attribute(COMMANDS[name])
    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    positional = ["none" for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    required = [
        word
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is inspect.Parameter.empty
        for word in (f"--{p.name.replace('_', '-')}", "none")
    ]
    for p in parameters:
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name in hints:
            for kind in (int, float):
                if hints[p.name] in (kind, kind | None):
                    for value in BAD[kind]:
                        if p.name == "seed" and abs(value) <= MAX_SEED:
                            continue
                        words = [*name.split(), *positional, *required]
                        flag = f"--{p.name.replace('_', '-')}"
                        assert p.name in said([*words, flag, str(value)], capsys)


def test_hyperparameters_of_other_recipes_may_be_negative(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("def recipe(*, shift: float = 0.0, width: int = 4):\n    ...\n")
    file = read_recipe(own)
    assert resolve_hyperparameters(file, {"shift": -2.5}, False)["shift"] == -2.5
    for name, value in (("shift", float("nan")), ("shift", -1e300), ("width", 0)):
        assert name in refusal(resolve_hyperparameters, file, {name: value}, False)


def test_messages_say_what_must_be():
    for name, value, message in (
        ("steps", 0, "steps must be 1 or more; got 0"),
        ("tempo", 0.0, "tempo must be above 0; got 0.0"),
        ("augment_p", 1.5, "augment_p must be at most 1; got 1.5"),
        ("anything", float("nan"), "anything must be a finite number; got nan"),
        ("anything", 2 * MAX_NUMBER, "anything must be at most 1,000,000,000; got 2000000000"),
        ("steps", 10**50, "steps must be at most 1,000,000,000; got a number of 51 digits"),
        ("to_tempo", -1.0, "to_tempo must be above 0; got -1.0"),
    ):
        assert refusal(check_number, name, value) == message
    for name, value in (("x", True), ("x", None), ("x", "nan"), ("seed", -5), ("x", 0)):
        check_number(name, value)
