"""The structure of the code: imports, sizes and global state, read from the source with ast."""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path

from multigan.core.serialization import domains
from tests.run_helpers import REPOSITORY, python

PACKAGE = REPOSITORY / "multigan"
SOURCES = sorted(PACKAGE.rglob("*.py"))
RECIPES = sorted((REPOSITORY / "recipes").rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))

# A package may import those before it in this list; packages of one tuple import nothing of each
# other.
LAYERS = (
    ("core",),
    ("storage",),
    ("engine", "arrays", "points", "image", "music", "text"),
    ("benchmarks",),
    ("runs",),
    ("report", "export"),
    ("training",),
    ("studio",),
    ("cli",),
)
# The same rule inside a domain.
DOMAIN_LAYERS = (
    ("theory",),
    ("formats", "tokenization"),
    ("representations",),
    ("condition",),
    ("spec",),
    ("models", "augmentation"),
    ("sampling", "rendering", "projector"),
    ("metrics",),
    ("domain",),
    ("datasets",),
    ("analysis",),
    ("commands",),
)
OWN_DOMAINS = {path.parent.name for path in PACKAGE.glob("*/domain.py")}
FRAGILE = {"torchaudio", "transformers", "datasets"}

LINES_OF_A_FILE = 500
LINES_OF_A_RECIPE = 100
LINES_OF_A_FUNCTION = 60
LINES_OF_A_SHORT_MODULE = 60
# Each reviewed: why a short module with one importer stands alone.
MAY_BE_SHORT = {
    "multigan/cli/export.py": "a command; imported by the program alone",
    "multigan/cli/refine.py": "a command; imported by the program alone",
    "multigan/engine/sync_batch_norm.py": "replaces layers of a network; no part of the step",
    "multigan/image/metrics/mode_coverage.py": "one metric",
    "multigan/image/metrics/nearest_images.py": "one algorithm; imported by the domain",
    "multigan/music/representations/chord_symbols.py": "the notation of two options",
    "multigan/music/rendering/pianoroll_json.py": "one file format",
    "multigan/text/tokenization/slurs.py": "a list of words",
    "multigan/text/models/reinforce.py": "formulas with a test of their own",
    "multigan/training/allocator.py": "settings of the C library, with a test of their own",
}
# Each reviewed: what cannot be cut without hiding it. "file" or "file:function".
# A recipe's function lists its hyperparameters and their help.
MAY_BE_LONG = {
    "recipes/image.py:recipe",
    "recipes/music.py:recipe",
    "recipes/pop.py:recipe",
    "recipes/text.py:recipe",
}
# Inside a `with fork_rng`: initial weights, nn.Dropout and transforms, which know no other stream.
MAY_SEED = {
    "multigan/core/recipe_file.py",
    "multigan/training/launch.py",
    "multigan/core/fitting.py",
    "multigan/arrays/datasets/map_style.py",
}
STREAMS = ("torch", "torch.random", "torch.cuda", "torch.default_generator")
# A checkpoint brings the stream of nn.Dropout back, under the fork of multigan/training/launch.py.
MAY_RESTORE = {"multigan/engine/distributed.py"}


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


def offenders(paths: list[Path], find: Callable[[Path], object]) -> dict[str, object]:
    """What `find` holds against each file, where it is anything."""
    assert paths
    return {relative(path): found for path in paths if (found := find(path))}


def imported(path: Path) -> set[str]:
    """The full names of the modules and attributes that a file imports anywhere in it."""
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    """The dotted name of a source file of the package."""
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


@cache
def imported_modules(path: Path) -> set[str]:
    """The modules of multigan that a file imports, type-only imports included."""
    names = {name for name in imported(path) if name.partition(".")[0] == "multigan"}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def level_of(name: str, layers: tuple[tuple[str, ...], ...]) -> int | None:
    """The index of the layer that holds `name`."""
    return next((level for level, names in enumerate(layers) if name in names), None)


def test_every_package_imports_only_packages_of_lower_layers():
    def find(path: Path) -> list[str]:
        own = module_name(path).split(".")[1:2]
        level = level_of(own[0], LAYERS) if own else None
        if level is None:  # multigan itself, __main__
            return []
        others = {name.split(".")[1] for name in imported_modules(path) if "." in name} - {*own}
        return sorted(name for name in others if (level_of(name, LAYERS) or 0) >= level)

    assert {name for layer in LAYERS for name in layer} == {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert offenders(SOURCES, find) == {}


def test_inside_a_domain_every_part_imports_only_parts_before_it():
    def find(path: Path) -> list[str]:
        own = module_name(path).split(".")[1:3]
        if len(own) < 2 or own[0] not in OWN_DOMAINS - {"points"}:
            return []
        level = level_of(own[1], DOMAIN_LAYERS)
        assert level is not None, f"{relative(path)} has no place in DOMAIN_LAYERS"
        parts = [name.split(".")[1:3] for name in imported_modules(path)]
        others = {part[1] for part in parts if part[0] == own[0] and part != own}
        return sorted(name for name in others if level_of(name, DOMAIN_LAYERS) >= level)

    assert offenders(SOURCES, find) == {}


def test_no_cycle_of_files():
    graph = {name: imported_modules(path) - {name} for name, path in MODULES.items()}
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert graph == {}, "each of these imports another of these"


def test_modules_import_nothing_from_the_package_itself():
    def find(path: Path) -> set[str]:
        names = {name for name in imported(path) if name.partition(".")[0] == "multigan"}
        return {name for name in names if name not in MODULES and name.count(".") < 2}

    assert offenders([path for path in SOURCES if path.name != "__init__.py"], find) == {}


@cache
def tables_of(path: Path) -> set[str]:
    """The modules that a file names in strings of the form `module:attribute`."""
    strings = [n.value for n in nodes_of(path) if isinstance(n, ast.Constant)]
    found = [s.partition(":")[0] for s in strings if isinstance(s, str) and ":" in s]
    return {name for name in found if name in MODULES}


def importers_of(name: str) -> set[str]:
    """The modules that import a module."""
    return {other for other, path in MODULES.items() if name in imported_modules(path)} - {name}


def test_a_short_module_has_two_importers_or_a_reason():
    in_tables = set().union(*map(tables_of, SOURCES))  # imported by name

    def find(path: Path) -> set[str]:
        lines = len(path.read_text().splitlines())
        name = module_name(path)
        is_short = lines < LINES_OF_A_SHORT_MODULE and not path.name.startswith("__")
        is_short = is_short and name not in in_tables
        found = importers_of(name) if is_short else set()
        return found or {"none"} if is_short and len(found) < 2 else set()

    short = offenders(SOURCES, find)
    assert short.keys() - MAY_BE_SHORT.keys() == set(), "merge it into its importer, or say why not"
    assert MAY_BE_SHORT.keys() - short.keys() == set(), "no reason is needed any more"


def test_folders_nest_three_levels_at_most():
    assert all(len(path.relative_to(REPOSITORY).parts) <= 4 for path in SOURCES)


def test_recipes_import_domains_benchmarks_and_core_only():
    allowed = {"core", "benchmarks", *OWN_DOMAINS}

    def find(path: Path) -> set[str]:
        return {(name + ".").split(".")[1] for name in imported_modules(path)} - allowed - {""}

    assert offenders(RECIPES, find) == {}


def test_fragile_packages_are_imported_in_one_place():
    users = offenders(
        SOURCES, lambda path: {name.split(".")[0] for name in imported(path)} & FRAGILE
    )
    assert set(users) <= {"multigan/core/optional_dependencies.py"}


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
        home = module_name(path).split(".")[1:2] if path in SOURCES else []
        return compared_names(tree_of(path), (set(domains()) | OWN_DOMAINS) - {*home})

    assert offenders([*SOURCES, *RECIPES], find) == {}
    for code in ('x == "image"', 'x in ("image",)', 'match x:\n  case "image": pass'):
        assert len(compared_names(ast.parse(code), {"image"})) == 1


def long_functions(path: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in nodes_of(path) if isinstance(node, kinds)]
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


def dotted(node: ast.expr) -> str:
    """The name `a.b.c` that an expression is, or an empty one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


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
            owner, name = dotted(node.func.value), node.func.attr
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
    functions = [node for node in nodes_of(path) if isinstance(node, ast.FunctionDef)]
    later = {id(n) for f in functions for statement in f.body for n in ast.walk(statement)}
    return [
        node.lineno
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and ast.unparse(node.value) == "os"
        and id(node) not in later
    ]


def test_no_environment_variable_is_read_at_import():
    assert offenders([*SOURCES, *RECIPES], read_at_import) == {}


def test_importing_the_package_a_domain_or_the_command_line_imports_no_torch():
    modules = [
        "multigan",
        *(f"multigan.{name}" for name in sorted(OWN_DOMAINS)),
        "multigan.cli.app",
    ]
    code = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
print("no torch")
"""
    done = python("-c", code)
    assert done.stdout == "no torch\n", done.stderr
