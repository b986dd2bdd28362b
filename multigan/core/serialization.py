"""Components: objects that remember their constructor arguments, so that JSON can rebuild them.

A component is stored as `{"component": "points/MLPGenerator", "arguments": {...}}` and rebuilt
through the closed table COMPONENTS of an installed domain. No name found in a file is imported.
"""

from __future__ import annotations

import dis
import functools
import importlib
import inspect
import json
import sys
import types
from collections.abc import Iterable, Mapping, Sized
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, runtime_checkable

from multigan.core.argument_types import check_arguments
from multigan.core.fingerprint import fingerprint

T = TypeVar("T", bound=type)
C = TypeVar("C")

RECIPE_MODULE = "multigan_recipe"  # the module name under which a recipe file is executed
RECIPE_DOMAIN = "recipe"  # components defined in a recipe file: recipe/ClassName
CORE = "core"  # the adapters of plain modules: core/ModuleGenerator
MAX_SHOWN = 200  # characters of a description in an error
CALLER_DOMAIN = "caller"  # objects of the program that trained a run: caller/ClassName


@runtime_checkable
class _Network(Protocol):
    """An nn.Module, without an import of torch."""

    def parameters(self) -> Iterable[Any]: ...

    def state_dict(self) -> dict[str, Any]: ...


def component(cls: T) -> T:
    """Class decorator: instances remember their constructor arguments."""
    build = cls.__init__  # type: ignore[misc]
    signature = inspect.signature(build)

    @functools.wraps(build)
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if type(self) is cls:  # a decorated subclass remembers its own arguments
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            object.__setattr__(
                self, "_component_arguments", dict(list(bound.arguments.items())[1:])
            )

    cls.__init__ = remember  # type: ignore[misc]
    return cls


def is_component(value: object) -> bool:
    """Return True if `value` remembers its constructor arguments."""
    return "_component_arguments" in getattr(value, "__dict__", {})


def with_arguments(value: C, **changes: Any) -> C:
    """Build a component like `value`, with some constructor arguments changed."""
    arguments: dict[str, Any] = vars(value)["_component_arguments"]
    return type(value)(**(arguments | changes))


def to_config(value: Any, *, of_caller: bool = False) -> Any:
    """The JSON form of a component, or of a tree of components, numbers, strings, lists and dicts.

    A function of a recipe file is stored by its name. With `of_caller` anything else becomes
    `caller/ClassName`, which cannot be rebuilt; else ValueError is raised, with the type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_config(item, of_caller=of_caller) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_config(item, of_caller=of_caller) for key, item in value.items()}
    if inspect.isfunction(value) and value.__module__ == RECIPE_MODULE:
        if "<" not in value.__qualname__:  # neither a lambda nor inside another function
            return {"function": f"{RECIPE_DOMAIN}/{value.__qualname__}"}
    elif is_component(value):
        try:
            name = component_name(type(value))
        except ValueError:  # a class of the program that calls
            if of_caller:
                return _of_caller(value)
            raise
        arguments = to_config(value._component_arguments, of_caller=of_caller)
        return {"component": name, "arguments": arguments}
    if of_caller:
        return _of_caller(value)
    raise ValueError(
        f"a value of a run must be an instance of a class decorated with @component, a function "
        f"at the top of a recipe file, or JSON; got a {type(value).__name__}"
    )


def _of_caller(value: Any) -> dict[str, Any]:
    """Describe an object that only the program of the caller has; its numbers are for reports."""
    name = getattr(value, "__name__", type(value).__name__)
    counts: dict[str, int] = {}
    if isinstance(value, _Network):
        counts["parameters"] = sum(parameter.numel() for parameter in value.parameters())
    elif isinstance(value, Sized):
        counts["samples"] = len(value)
    described = {"component": f"{CALLER_DOMAIN}/{name}", "arguments": counts}
    code = function_fingerprint(value)
    return described | ({"code": code} if code else {})


def function_fingerprint(value: Any) -> str:
    """Return a hash of the code, defaults and captured values of a function of Python.

    Of a functools.partial it covers the function and its arguments. It begins with the version of
    Python, as bytecode changes with it. Empty for anything else, such as classes and other
    callables. Global variables and captured ones that the function assigns are not covered.
    """
    return _fingerprint(value, set())


def _fingerprint(value: Any, seen: set[int]) -> str:
    """The hash of `function_fingerprint`; `seen` are the functions so far, as some capture each
    other or themselves."""
    if isinstance(value, functools.partial):
        given = (*value.args, *sorted(value.keywords.items()))
        of_function = _fingerprint(value.func, seen) or getattr(value.func, "__qualname__", "")
        return _with_version(["partial", of_function, *(_plain(one, seen) for one in given)])
    function = getattr(value, "__func__", value)
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return ""
    if id(function) in seen:
        return f"the function {code.co_name}"
    seen.add(id(function))
    assigned = _assigned(code)
    cells = [
        _contents(cell)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
        if name not in assigned
    ]
    defaults = [*(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())]
    values = [_plain(one, seen) for one in (*defaults, *cells)]
    return _with_version([*_code_parts(code), *values])


def _with_version(parts: list[str]) -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}:{fingerprint(tuple(parts))}"


def _assigned(code: types.CodeType) -> set[str]:
    """The captured variables that a function or one inside it assigns, such as a counter."""
    names = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("STORE_DEREF", "DELETE_DEREF")
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _assigned(constant)
    return names & set(code.co_freevars)


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a variable that is not assigned yet
        return None


def _code_parts(code: types.CodeType) -> list[str]:
    """The bytecode, names and constants of a function and of those inside it, without its place."""
    parts = [code.co_code.hex(), " ".join(code.co_names), " ".join(code.co_varnames)]
    for constant in code.co_consts:
        is_code = isinstance(constant, types.CodeType)
        parts += _code_parts(constant) if is_code else [_plain(constant, set())]
    return parts


def _plain(value: Any, seen: set[int]) -> str:
    """The value of a number, a string or a tuple or set of them; the type of anything else."""
    if isinstance(value, tuple | list):
        return "(" + ",".join(_plain(item, seen) for item in value) + ")"
    if isinstance(value, frozenset | set):
        return "{" + ",".join(sorted(_plain(item, seen) for item in value)) + "}"
    is_plain = value is None or isinstance(value, bool | int | float | complex | str | bytes)
    return repr(value) if is_plain else _fingerprint(value, seen) or type(value).__qualname__


def first_difference(stored: Any, given: Any) -> tuple[str, str] | None:
    """Return both descriptions where two trees of `to_config` differ, in words; None if equal.

    Of components alike only the first argument that differs is described. Fingerprints of functions
    are compared where both were taken by one version of Python.
    """
    if isinstance(stored, dict) and isinstance(given, dict):
        # In a mapping of the caller "code" is a name like any other.
        apart = {"code"} if "component" in stored else set()
        if stored.keys() - apart != given.keys() - apart:
            return _in_words(stored), _in_words(given)
        if stored.get("component") != given.get("component") or _counts(stored) != _counts(given):
            return _in_words(stored), _in_words(given)
        codes = [str(tree.get("code", "")) for tree in (stored, given)]
        same_python = len({code.partition(":")[0] for code in codes}) == 1
        if apart and same_python and codes[0] != codes[1]:
            name = _in_words(stored)
            return f"the function {name}", f"{name} with other code: pass the same function"
        found = (first_difference(stored[k], given[k]) for k in stored if k not in apart)
        return next((difference for difference in found if difference), None)
    if isinstance(stored, list) and isinstance(given, list) and len(stored) == len(given):
        pairs = (first_difference(*pair) for pair in zip(stored, given, strict=True))
        return next((difference for difference in pairs if difference), None)
    return None if stored == given else (_in_words(stored), _in_words(given))


def _counts(description: dict[str, Any]) -> Any:
    """The numbers of parameters or samples of an object of the caller."""
    is_own = str(description.get("component", "")).startswith(f"{CALLER_DOMAIN}/")
    return description.get("arguments") if is_own else None


def _in_words(description: Any) -> str:
    """A description of `to_config` in short: "Sequential (parameters 178)"."""
    if not isinstance(description, dict) or "component" not in description:
        text = json.dumps(description)
        return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
    name = str(description["component"]).rpartition("/")[2]
    arguments = description.get("arguments") or {}
    numbers = [f"{k} {v:,}" for k, v in arguments.items() if type(v) in (int, float)]
    return name + (f" ({', '.join(numbers)})" if numbers else "")


def caller_objects(description: Any) -> list[str]:
    """The names of all objects of the caller in a description, each once."""
    if isinstance(description, list):
        found = [name for item in description for name in caller_objects(item)]
    elif isinstance(description, dict):
        own = str(description.get("component", ""))
        found = [own] if own.startswith(f"{CALLER_DOMAIN}/") else []
        found += [name for item in description.values() for name in caller_objects(item)]
    else:
        found = []
    return list(dict.fromkeys(found))


def from_config(description: Any, trusted: ModuleType | None = None) -> Any:
    """The inverse of `to_config`; sequences come back as tuples.

    `trusted` is the executed recipe file that defines components named `recipe/ClassName`. Raises
    ValueError for an unknown component or arguments that its constructor refuses.
    """
    if isinstance(description, list):
        return tuple(from_config(item, trusted) for item in description)
    if not isinstance(description, dict):
        return description
    if description.keys() == {"function"}:
        return get_component(description["function"], trusted, kind=types.FunctionType)
    if "component" not in description:
        return {key: from_config(item, trusted) for key, item in description.items()}
    name, arguments = description["component"], description.get("arguments", {})
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of component {name!r} must be a JSON object")
    cls = get_component(name, trusted)
    arguments = {key: from_config(item, trusted) for key, item in arguments.items()}
    try:
        check_arguments(cls, arguments)
    except ValueError as error:
        message = " ".join(str(error).split())  # that of a network has several lines
        raise ValueError(
            f"component {name}: {message}; was it written by another version?"
        ) from None
    try:
        return cls(**arguments)
    except OSError:
        raise
    except Exception as error:  # untrusted arguments raise arbitrary exceptions
        if type(error) is ValueError and "\n" not in str(error):
            raise
        message = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"component {name}: {message}; was it written by another version?"
        ) from error


def component_name(cls: type) -> str:
    """The name of a component: `points/MLPGenerator`; of a recipe file's: `recipe/ClassName`."""
    if cls.__module__ == RECIPE_MODULE:
        return f"{RECIPE_DOMAIN}/{cls.__qualname__}"
    target = f"{cls.__module__}:{cls.__qualname__}"
    for domain in (*domains(), CORE):
        for name, place in domain_table(domain, "COMPONENTS").items():
            if place == target:
                return f"{domain}/{name}"
    raise ValueError(f"{target} must be in the COMPONENTS table of a domain; add it there")


def get_component(name: Any, trusted: ModuleType | None = None, kind: type = type) -> Any:
    """The class of a component, from a domain's COMPONENTS or the trusted recipe file.

    `kind` is FunctionType for a function, which only a recipe file can have.
    """
    domain, _, short = str(name).partition("/")
    if domain == CALLER_DOMAIN:
        raise ValueError(
            f"{name} is an object of the program that trained this run, which recipe.json cannot "
            "rebuild: in Python pass the recipe with the same objects, load(RUN, trust=recipe) or "
            "train(recipe, out=RUN, resume=True)"
        )
    if kind is not type and domain != RECIPE_DOMAIN:
        raise ValueError(f"function {name!r} must be of a recipe file: recipe/NAME")
    if domain == RECIPE_DOMAIN:
        if trusted is None:
            raise ValueError(
                f"component {name} is defined in a recipe file; "
                "pass that file with --trust-recipe FILE"
            )
        found = getattr(trusted, short, None)
        if not isinstance(found, kind) or found.__module__ != RECIPE_MODULE:
            what = "class" if kind is type else "function"
            raise ValueError(f"component {name}: the trusted recipe file defines no {what} {short}")
        return found
    if domain not in domains() and domain != CORE:
        raise ValueError(
            f"component {name!r}: unknown domain {domain!r}; known: {', '.join(domains())}"
        )
    table = domain_table(domain, "COMPONENTS")
    if short not in table:
        raise ValueError(
            f"component {name!r}: {domain} has no such component; known: {', '.join(table)}"
        )
    return import_attribute(table[short])


def domains() -> dict[str, str]:
    """Domain name -> package: sub-packages of multigan and entry points `multigan.domains`."""
    found = {path.parent.name for path in Path(__file__).parents[1].glob("*/domain.py")}
    packages = {name: f"multigan.{name}" for name in sorted(found)}
    return packages | _installed_domains()


@functools.cache  # reading the metadata of every installed package takes 30 ms
def _installed_domains() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="multigan.domains")}


def domain_table(domain: str, table: str) -> Mapping[str, str]:
    """A table of a domain: name -> "module:attribute". Imports no torch.

    COMPONENTS are the classes that can be rebuilt, COMMANDS the commands of the domain.
    REQUIREMENTS (optional) are functions for `multigan doctor`: each returns one line about an
    installed dependency, or raises ValueError with the line that installs it. HUB (optional) holds
    entries of the model card, such as `pipeline_tag`. METRICS (optional) is the meaning of metrics;
    NUMBER_LIMITS (optional) holds the smallest and the largest value of options.
    """
    package = f"multigan.{CORE}" if domain == CORE else domains()[domain]
    return getattr(importlib.import_module(package), table, {})


def import_attribute(place: str) -> Any:
    """Import "module:attribute"; only ever called with a string from an installed table."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
