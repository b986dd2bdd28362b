"""The rule of the house: who may import whom, read from the source by ast."""

import ast
from collections.abc import Callable
from pathlib import Path

from multigan.part import domains
from tests.runs import REPOSITORY, python

PACKAGE = REPOSITORY / "multigan"
SOURCES = sorted(PACKAGE.rglob("*.py"))
RECIPES = sorted((REPOSITORY / "recipes").rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))

OWN_DOMAINS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {
    "engine",
    "run",
    "commands",
    "studio",
}
TOP = {"cli", "options", "exits", "__main__", "__init__"}  # what stands above everything else
GROUND = {path.stem for path in PACKAGE.glob("*.py")} - TOP
MAY_IMPORT = {
    **{room: GROUND for room in GROUND},
    **{room: GROUND | {room} for room in OWN_DOMAINS},
    "engine": GROUND | {"engine"},
    "run": GROUND | {"engine", "run", "__init__"},  # "__init__": the version
    "studio": GROUND | {"run", "options", "studio"},
    "commands": GROUND | {"run", "studio", "options", "commands"},
    "cli": GROUND | {"commands", "options", "exits", "__init__"},
    "options": GROUND,
    "exits": set(),
    "__main__": {"cli"},
    "__init__": GROUND,
}
FRAGILE = {"torchaudio", "transformers", "datasets"}

LINES_OF_A_FILE = 300
LINES_OF_A_RECIPE = 80
LINES_OF_A_FUNCTION = 60
# Each reviewed: what cannot be cut without hiding it. "file" or "file:function".
MAY_BE_LONG: set[str] = set()
# Inside a `with fork_rng`: initial weights, and nn.Dropout, which knows no other stream.
MAY_SEED = {"multigan/recipe_file.py", "multigan/run/start.py", "multigan/fit.py"}
STREAMS = ("torch", "torch.random", "torch.cuda", "torch.default_generator")
# A checkpoint brings the stream of nn.Dropout back, under the fork of multigan/run/start.py.
MAY_RESTORE = {"multigan/engine/dropout.py"}


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def offenders(paths: list[Path], find: Callable[[Path], object]) -> dict[str, object]:
    """What `find` holds against each file, where it is anything."""
    assert paths
    return {relative(path): found for path in paths if (found := find(path))}


def imported(path: Path) -> set[str]:
    """The full names of the modules and attributes that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(path: Path) -> set[str]:
    """The parts of multigan that a file imports: `engine`, `points`, `contract`, ..."""
    found = set()
    for name in imported(path):
        package, _, rest = name.partition(".")
        room = rest.partition(".")[0]
        is_module = (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()
        if package == "multigan":
            found.add(room if room and is_module else "__init__")
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_room_imports_only_what_it_may():
    assert offenders(SOURCES, lambda path: rooms(path) - MAY_IMPORT[room_of(path)]) == {}


def test_recipes_import_no_engine_no_run_and_no_command():
    assert offenders(RECIPES, lambda path: rooms(path) & (TOP | {"engine", "run"})) == {}


def test_fragile_packages_are_imported_in_one_place():
    users = offenders(
        SOURCES, lambda path: {name.split(".")[0] for name in imported(path)} & FRAGILE
    )
    assert set(users) <= {"multigan/optional.py"}


def compared_names(tree: ast.Module, names: set[str]) -> list[str]:
    """Where one of `names` stands in a comparison or a `case`."""
    asked = [n for n in ast.walk(tree) if isinstance(n, ast.Compare | ast.match_case)]
    return [
        f"line {constant.lineno}: {constant.value}"
        for node in asked
        for constant in ast.walk(node.pattern if isinstance(node, ast.match_case) else node)
        if isinstance(constant, ast.Constant) and constant.value in names
    ]


def test_nothing_asks_which_domain_it_serves():
    def find(path: Path) -> list[str]:
        home = room_of(path) if path in SOURCES else None
        return compared_names(tree_of(path), (set(domains()) | OWN_DOMAINS) - {home})

    assert offenders([*SOURCES, *RECIPES], find) == {}
    for code in ('x == "image"', 'x in ("image",)', 'match x:\n  case "image": pass'):
        assert len(compared_names(ast.parse(code), {"image"})) == 1


def long_functions(path: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]
    return [
        f"{relative(path)}:{f.name}"
        for f in functions
        if f.end_lineno - f.lineno >= LINES_OF_A_FUNCTION
        and f"{relative(path)}:{f.name}" not in MAY_BE_LONG
    ]


def test_files_and_functions_stay_short():
    def too_long(path: Path) -> int:
        lines = len(path.read_text().splitlines())
        limit = LINES_OF_A_RECIPE if path in RECIPES else LINES_OF_A_FILE
        return lines if lines > limit and relative(path) not in MAY_BE_LONG else 0

    assert offenders([*SOURCES, *TESTS, *RECIPES], too_long) == {}
    assert offenders([*SOURCES, *TESTS, *RECIPES], long_functions) == {}


def global_streams(tree: ast.Module) -> tuple[list[str], list[str]]:
    """Calls that seed or use a global random stream: outside and inside a `with fork_rng`."""
    forked = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.With)
        and any("fork_rng" in ast.unparse(item.context_expr) for item in block.items)
        for node in ast.walk(block)
    }
    found: tuple[list[str], list[str]] = ([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = ast.unparse(node.func.value), node.func.attr
            seeds = owner in STREAMS and name.startswith(("manual_seed", "set_rng_state"))
            legacy = owner in ("np.random", "numpy.random", "random")
            if seeds or (legacy and name not in ("default_rng", "Random")):
                found[id(node) in forked].append(f"{owner}.{name}")
    return found


def test_nothing_seeds_globally():
    everything = [*SOURCES, *RECIPES]
    outside = offenders(everything, lambda path: global_streams(tree_of(path))[0])
    assert set(outside) <= MAY_RESTORE
    assert all("set_rng_state" in call for calls in outside.values() for call in calls)
    assert set(offenders(everything, lambda path: global_streams(tree_of(path))[1])) <= MAY_SEED
    code = "torch.manual_seed(0)\nnp.random.rand()\nwith fork_rng():\n  torch.manual_seed(1)"
    assert global_streams(ast.parse(code)) == (
        ["torch.manual_seed", "np.random.rand"],
        ["torch.manual_seed"],
    )


def read_at_import(path: Path) -> list[int]:
    """Lines that look at the environment outside any function."""
    tree = tree_of(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    later = {id(n) for f in functions for statement in f.body for n in ast.walk(statement)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("os.environ", "os.getenv")
        and id(node) not in later
    ]


def test_no_environment_variable_is_read_at_import():
    assert offenders([*SOURCES, *RECIPES], read_at_import) == {}


def test_importing_the_package_a_domain_or_the_command_line_imports_no_torch():
    modules = ["multigan", *(f"multigan.{name}" for name in sorted(OWN_DOMAINS)), "multigan.cli"]
    code = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
print("no torch")
"""
    done = python("-c", code)
    assert done.stdout == "no torch\n", done.stderr
