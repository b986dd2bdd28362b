"""The wheel built from the checkout holds all that the program needs, and no tests."""

import zipfile

import pytest

from multigan.storage.pretrained import list_pretrained
from tests.run_helpers import REPOSITORY, python

PAGES = ("report/static", "studio/static")
# Run with the unpacked wheel and without the checkout.
ASK = """
import sys
sys.path[:] = [sys.argv[1], *(p for p in sys.path if p != sys.argv[2])]
import multigan
assert multigan.__file__.startswith(sys.argv[1]), multigan.__file__
from multigan.storage.pretrained import list_pretrained
from multigan.core.recipe_file import read_recipe, recipe_names, recipes_folder
from multigan.storage.loading import load
assert str(recipes_folder()).startswith(sys.argv[1]), recipes_folder()
print(*recipe_names())
assert all(read_recipe(name).hyperparameters for name in recipe_names())
print(*(type(load(file).generator).__name__ for file in list_pretrained().values()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names in a wheel that pip builds with what is installed, and the unpacked wheel."""
    pytest.importorskip("hatchling", reason="pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = python("-m", "pip", "wheel", *offline, "--wheel-dir", folder, REPOSITORY, cwd=folder)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("multigan-*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "unpacked")
        return archive.namelist(), folder / "unpacked"


def in_checkout(*patterns):
    """The files of the checkout that fit, as they are named in a wheel."""
    files = [file for pattern in patterns for file in REPOSITORY.glob(pattern)]
    return {file.relative_to(REPOSITORY).as_posix() for file in files if file.is_file()}


@pytest.mark.slow
def test_the_wheel_carries_modules_pretrained_generators_pages_and_recipes(wheel):
    names = set(wheel[0])
    assert in_checkout("multigan/**/*.py", "multigan/py.typed") <= names
    pretrained = in_checkout(
        "multigan/storage/pretrained_weights/*.json",
        "multigan/storage/pretrained_weights/*.safetensors",
    )
    assert len(pretrained) == 2 * len(list_pretrained()) > 0 and pretrained <= names
    assert in_checkout("multigan/storage/pretrained_weights/refiners/*.safetensors") <= names
    pages = in_checkout(*(f"multigan/{page}/*" for page in PAGES))
    assert len(pages) > 10 and pages <= names
    recipes = in_checkout("recipes/*.py", "recipes/benchmarks/*.py")
    assert {f"multigan/_{name}" for name in recipes} <= names


@pytest.mark.slow
def test_the_wheel_carries_nothing_else(wheel):
    roots = {name.split("/")[0] for name in wheel[0]}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"multigan"}
    assert [name for name in wheel[0] if "test" in name.lower() or "__pycache__" in name] == []
    known = {".py", ".typed", ".json", ".safetensors", ".js", ".css", ".html", ".LICENSE", ".txt"}
    files = [name for name in wheel[0] if name.startswith("multigan/")]
    assert {name[name.rindex(".") :] for name in files} == known


@pytest.mark.slow
def test_the_installed_program_finds_its_recipes_and_generators(wheel, tmp_path):
    done = python("-c", ASK, wheel[1], REPOSITORY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    recipes, generators = done.stdout.splitlines()
    assert {"image", "music", "points", "text"} <= set(recipes.split())
    assert len(generators.split()) == len(list_pretrained())
