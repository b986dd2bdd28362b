"""Recipe files: found by name, read by ast for their knobs, and executed only to train.

Finding and reading import no torch and run nothing.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from multigan.core.serialization import RECIPE_MODULE

if TYPE_CHECKING:
    from multigan.core.recipe import Recipe

KNOB_TYPES = {"int": int, "float": float, "str": str, "bool": bool}
KNOB_HELP = re.compile(r"^\s*(\w+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Hyperparameter:
    """A keyword-only parameter of a recipe: `optional` ones may be None."""

    name: str
    type: type
    default: Any
    help: str
    optional: bool = False


@dataclass(frozen=True)
class RecipeFile:
    """What a recipe file says about itself without being run."""

    name: str
    path: Path
    header: str
    knobs: tuple[Hyperparameter, ...]
    tiny: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]  # of a benchmark: row name -> knobs; empty elsewhere
    seeds: int  # with which a benchmark runs each row: 0, 1, ...

    @property
    def summary(self) -> str:
        """The first line of the header."""
        return self.header.strip().partition("\n")[0]


def recipes_folder() -> Path:
    """The packaged recipes: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parents[1]
    inside = package / "_recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def recipe_names() -> dict[str, Path]:
    """The packaged recipes: name ("image", "benchmarks/fashion") -> file."""
    folder = recipes_folder()
    files = sorted(folder.rglob("*.py"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def find_recipe(name: str | Path) -> Path:
    """The file of a packaged recipe, or the file itself; ValueError names what is close."""
    if str(name).endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f"recipe file {path} does not exist")
        return path
    names = recipe_names()
    if str(name) in names:
        return names[str(name)]
    raise ValueError(f"recipe {str(name)!r} is unknown; {suggest(str(name), names)}")


def suggest(word: str, known: Any) -> str:
    """`did you mean ...?` if something is close, else the list of what is known."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def read_recipe(name: str | Path) -> RecipeFile:
    """Header, knobs and TINY of a recipe, by ast.

    Raises ValueError for a file that does not parse or holds no `def recipe(*, ...)`.
    """
    path = find_recipe(name)
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no Python file: {error}") from error
    function = next(
        (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "recipe"), None
    )
    if function is None:
        raise ValueError(f"{path} has no function `recipe`; wanted `def recipe(*, ...) -> Recipe`")
    tiny, rows = _constant(tree, "TINY", path, {}), _constant(tree, "ROWS", path, {})
    knobs = tuple(_knobs(function, path))
    for place, values in (("TINY", tiny), *rows.items()):
        if unknown := set(values) - {knob.name for knob in knobs}:
            sets = f"{path}: {place} sets {sorted(unknown)}"
            raise ValueError(f"{sets}, which are no knobs of its recipe")
    header = ast.get_docstring(tree) or path.stem
    seeds = _constant(tree, "SEEDS", path, 3)
    own = str(name).endswith(".py")  # kept: the name without it may be that of a packaged recipe
    return RecipeFile(path.name if own else str(name), path, header, knobs, tiny, rows, seeds)


def _constant(tree: ast.Module, name: str, path: Path, default: Any) -> Any:
    """The literal that is assigned to `name` at the top of the file, else the default."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return _literal(node.value, path)
    return default


def _literal(node: ast.expr, path: Path) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        source = ast.unparse(node)
        raise ValueError(f"{path}: {source!r} must be a literal: it is read, not run") from None


def _knobs(function: ast.FunctionDef, path: Path) -> list[Hyperparameter]:
    helps = dict(KNOB_HELP.findall(ast.get_docstring(function) or ""))
    arguments = function.args
    if arguments.args or arguments.vararg or arguments.kwarg:
        raise ValueError(f"{path}: the parameters of `recipe` must be keyword-only, after a *")
    knobs = []
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.annotation is None or default is None:
            raise ValueError(f"{path}: knob {argument.arg} needs a type and a default")
        annotation = ast.unparse(argument.annotation)
        base = annotation.removesuffix(" | None")
        if base not in KNOB_TYPES:
            known = ", ".join(KNOB_TYPES)
            raise ValueError(
                f"{path}: knob {argument.arg} has type {annotation}; wanted one of {known}, "
                "perhaps with `| None`"
            )
        knobs.append(
            Hyperparameter(
                argument.arg,
                KNOB_TYPES[base],
                _literal(default, path),
                helps.get(argument.arg, ""),
                optional=base != annotation,
            )
        )
    return knobs


def resolve_hyperparameters(
    file: RecipeFile, wishes: Mapping[str, Any], tiny: bool
) -> dict[str, Any]:
    """Every knob's value: the default, TINY's over it, the wish over both.

    Raises ValueError for a wish that is no knob or of the wrong type.
    """
    knobs = {knob.name: knob for knob in file.knobs}
    for name, value in wishes.items():
        if name not in knobs:
            raise ValueError(f"{file.name} has no knob {name!r}; {suggest(name, knobs)}")
        knob = knobs[name]
        fits = isinstance(value, knob.type) or (knob.type is float and isinstance(value, int))
        if (isinstance(value, bool) and knob.type is not bool) or not fits:
            if value is None and knob.optional:
                continue
            raise ValueError(f"{name} is {value!r}; wanted a value of type {knob.type.__name__}")
    defaults = {name: knob.default for name, knob in knobs.items()}
    return defaults | (dict(file.tiny) if tiny else {}) | dict(wishes)


def run_recipe_file(path: Path) -> ModuleType:
    """Run a recipe file, because the user named it, as the module `multigan_recipe`."""
    spec = importlib.util.spec_from_file_location(RECIPE_MODULE, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[RECIPE_MODULE] = module  # classes find their module, worker processes too
    with _blamed_on(path):
        spec.loader.exec_module(module)
    return module


def last_recipe_module() -> ModuleType | None:
    """The recipe file that this process has executed last, if any."""
    return sys.modules.get(RECIPE_MODULE)


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """Mistakes in a recipe file are its author's: one line with the place."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        place = f"{path}:{lines[-1]}" if lines else str(path)
        raise ValueError(f"{place}: {type(error).__name__}: {error}") from error


def build_recipe(file: RecipeFile, knobs: Mapping[str, Any], seed: int) -> Recipe:
    """Execute the file and call its `recipe`; initial weights depend on the seed only."""
    import torch

    from multigan.core.recipe import Recipe
    from multigan.core.rng import keyed_rng

    module = run_recipe_file(file.path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_rng(seed, "weights").initial_seed())
        with _blamed_on(file.path):
            recipe = module.recipe(**knobs)
    if not isinstance(recipe, Recipe):
        raise ValueError(f"{file.path}: `recipe` returned a {type(recipe).__name__}, no Recipe")
    return recipe
