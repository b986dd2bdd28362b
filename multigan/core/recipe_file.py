"""Recipe files: found by name, read with ast for their hyperparameters, executed only to train.

Finding and reading import no torch and execute nothing.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from multigan.core.number_limits import check_number
from multigan.core.serialization import RECIPE_MODULE

if TYPE_CHECKING:
    from multigan.core.recipe import Recipe

HYPERPARAMETER_TYPES = {"int": int, "float": float, "str": str, "bool": bool}
# A line `name: text` and the lines after it that are indented further.
PARAMETER_HELP = re.compile(r"^( *)(\w+): (.+(?:\n\1 +\S.*)*)$", re.MULTILINE)


@dataclass(frozen=True)
class Hyperparameter:
    """A keyword-only parameter of a recipe: `optional` ones may be None.

    `choices` are the values of a parameter of type Literal, else empty.
    """

    name: str
    type: type
    default: Any
    help: str
    optional: bool = False
    choices: tuple[str, ...] = ()


NOT_MEASURED = "not measured"
NUMBER = r"\b(?:\d[\d.,]*)(?: to \d[\d.,]*)?"
DURATION = re.compile(NUMBER + r" (?:CPU )?(?:s of CPU|s|seconds|minutes|hours)\b")
HARDWARE = re.compile(r"\b(?:a|one|two|four|\d+)(?: [\w-]+)? (?:thread|core|GPU)s?\b[^,;.:()]*")


@dataclass(frozen=True)
class RecipeFile:
    """The content of a recipe file, read without executing it."""

    name: str
    path: Path
    header: str
    hyperparameters: tuple[Hyperparameter, ...]
    tiny: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]  # of a benchmark: row name -> hyperparameters
    seeds: int  # runs of each benchmark row, with the seeds 0, 1, ...

    @property
    def summary(self) -> str:
        """The first line of the header."""
        return self.header.strip().partition("\n")[0]

    @property
    def data(self) -> str:
        """The default of `--data`; "made by the recipe" where there is none."""
        found = [h.default for h in self.hyperparameters if h.name == "data"]
        return str(found[0]) if found and found[0] else "made by the recipe"

    @property
    def time(self) -> str:
        """The duration and the hardware that the header states; "not measured" without both."""
        text = " ".join(self.header.split())
        stated = [pattern.search(text) for pattern in (DURATION, HARDWARE)]
        return ", ".join(found[0] for found in stated if found) if all(stated) else NOT_MEASURED


def parameter_help(docstring: str) -> dict[str, str]:
    """Return the help text of each parameter that a docstring describes as `name: text`."""
    found = PARAMETER_HELP.findall(docstring)
    return {name: " ".join(text.split()) for _, name, text in found}


def recipes_folder() -> Path:
    """The folder of packaged recipes: next to the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parents[1]
    inside = package / "_recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def recipe_names() -> dict[str, Path]:
    """The packaged recipes: name ("image", "benchmarks/fashion") -> file."""
    folder = recipes_folder()
    files = sorted(folder.rglob("*.py"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def find_recipe(name: str | Path) -> Path:
    """The file of a packaged recipe, or the file itself.

    Raises ValueError for an unknown name, with the closest one.
    """
    if str(name).endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f"recipe file {path} does not exist")
        return path
    names = recipe_names()
    if str(name) in names:
        return names[str(name)]
    raise ValueError(f"recipe {str(name)!r} is unknown; {suggest(str(name), names)}")


def suggest(word: str, known: Collection[str]) -> str:
    """`did you mean ...?` if a known word is close, else the list of known words."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def read_recipe(name: str | Path) -> RecipeFile:
    """Header, hyperparameters, TINY and ROWS of a recipe, read with ast.

    Raises ValueError for a file that does not parse or holds no `def recipe(*, ...)`.
    """
    path = find_recipe(name)
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a Python file; got {error}") from error
    function = next(
        (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "recipe"), None
    )
    if function is None:
        raise ValueError(f"{path} must define `def recipe(*, ...) -> Recipe`; found no `recipe`")
    tiny, rows = _constant(tree, "TINY", path, {}), _constant(tree, "ROWS", path, {})
    hyperparameters = tuple(_hyperparameters(function, path))
    for place, values in (("TINY", tiny), *rows.items()):
        if unknown := set(values) - {item.name for item in hyperparameters}:
            raise ValueError(
                f"{path}: {place} must set hyperparameters of the recipe; got {sorted(unknown)}"
            )
    header = ast.get_docstring(tree) or path.stem
    seeds = _constant(tree, "SEEDS", path, 3)
    own = str(name).endswith(".py")  # the stem alone may be the name of a packaged recipe
    return RecipeFile(
        path.name if own else str(name), path, header, hyperparameters, tiny, rows, seeds
    )


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
        raise ValueError(
            f"{path}: {source!r} must be a literal; it is read, not executed"
        ) from None


def _hyperparameters(function: ast.FunctionDef, path: Path) -> list[Hyperparameter]:
    helps = parameter_help(ast.get_docstring(function) or "")
    arguments = function.args
    if arguments.args or arguments.vararg or arguments.kwarg:
        raise ValueError(f"{path}: the parameters of `recipe` must be keyword-only, after a *")
    hyperparameters = []
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.annotation is None or default is None:
            raise ValueError(f"{path}: {argument.arg} must have a type and a default")
        annotation = ast.unparse(argument.annotation)
        base = annotation.removesuffix(" | None")
        choices = _choices(base)
        if base not in HYPERPARAMETER_TYPES and not choices:
            known = ", ".join(HYPERPARAMETER_TYPES)
            raise ValueError(
                f"{path}: the type of {argument.arg} must be one of {known}, or a Literal of "
                f"strings, perhaps with `| None`; got {annotation}"
            )
        hyperparameters.append(
            Hyperparameter(
                argument.arg,
                HYPERPARAMETER_TYPES.get(base, str),
                _literal(default, path),
                helps.get(argument.arg, ""),
                optional=base != annotation,
                choices=choices,
            )
        )
    return hyperparameters


def _choices(annotation: str) -> tuple[str, ...]:
    """The strings of `Literal['a', 'b']`; empty for another annotation."""
    found = re.fullmatch(r"(?:typing\.)?Literal\[(.+)\]", annotation, re.DOTALL)
    values = ast.literal_eval(f"({found[1]},)") if found else ()
    return values if all(isinstance(value, str) for value in values) else ()


def resolve_hyperparameters(
    file: RecipeFile, requested: Mapping[str, Any], tiny: bool
) -> dict[str, Any]:
    """Hyperparameters by name: defaults, overridden by TINY if `tiny`, then by `requested`.

    Raises ValueError for an unknown name or a value of the wrong type.
    """
    known = {item.name: item for item in file.hyperparameters}
    is_ours = recipes_folder() in file.path.parents
    for name, value in requested.items():
        if name not in known:
            raise ValueError(f"{file.name} has no hyperparameter {name!r}; {suggest(name, known)}")
        if not _is_valid(known[name], value):
            expected = known[name].type.__name__
            raise ValueError(f"{name} must be of type {expected}; got {value!r}")
        check_number(name, value, is_ours)
        choices = known[name].choices
        if choices and value is not None and value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    defaults = {item.name: item.default for item in file.hyperparameters}
    return defaults | (dict(file.tiny) if tiny else {}) | dict(requested)


def _is_valid(hyperparameter: Hyperparameter, value: Any) -> bool:
    """Check the type of a value; an int is a valid float, a bool is not a valid int."""
    kind = hyperparameter.type
    if value is None:
        return hyperparameter.optional
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def run_recipe_file(path: Path) -> ModuleType:
    """Execute a recipe file that the user named, as the module `multigan_recipe`."""
    spec = importlib.util.spec_from_file_location(RECIPE_MODULE, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[RECIPE_MODULE] = module  # classes must find it, also in worker processes
    with _user_errors(path):
        spec.loader.exec_module(module)
    return module


def last_recipe_module() -> ModuleType | None:
    """The recipe file that this process executed last, if any."""
    return sys.modules.get(RECIPE_MODULE)


@contextmanager
def _user_errors(path: Path, given: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turn exceptions of a recipe file into a ValueError of one line with file and line.

    It ends with the hyperparameters that are not the recipe's defaults.
    """
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        place = f"{path}:{lines[-1]}" if lines else str(path)
        with_values = ", ".join(f"{name} {value!r}" for name, value in (given or {}).items())
        with_values = f"; with {with_values}" if with_values else ""
        raise ValueError(f"{place}: {type(error).__name__}: {error}{with_values}") from error


def build_recipe(file: RecipeFile, hyperparameters: Mapping[str, Any], seed: int) -> Recipe:
    """Execute the file and call its `recipe`; initial weights depend on the seed only."""
    import torch

    from multigan.core.recipe import Recipe
    from multigan.core.rng import keyed_rng

    module = run_recipe_file(file.path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_rng(seed, "weights").initial_seed())
        given = {
            item.name: hyperparameters.get(item.name, item.default)
            for item in file.hyperparameters
            if hyperparameters.get(item.name, item.default) != item.default
        }
        with _user_errors(file.path, given):
            recipe = module.recipe(**hyperparameters)
    if not isinstance(recipe, Recipe):
        raise ValueError(
            f"{file.path}: `recipe` must return a Recipe; got a {type(recipe).__name__}"
        )
    return recipe
