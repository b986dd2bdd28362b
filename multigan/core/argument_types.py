"""Types of constructor arguments that come from a file, checked by the annotations."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

SHOWN_CHARACTERS = 40  # of a value in a message
PLAIN: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    Path: (str, Path),
    type(None): (type(None),),
}
LISTS, MAPPINGS = (list, tuple, Sequence), (dict, Mapping)


def check_arguments(cls: type, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for an argument that is not of the type that a constructor declares.

    Annotations of other kinds than JSON, such as protocols, are not checked. Numbers must not be
    NaN.
    """
    for name, value in arguments.items():
        hint = _hints(cls).get(name, Any)
        if not fits(value, hint):
            expected = hint.__name__ if isinstance(hint, type) else str(hint)
            shown = repr(value)
            shown = shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}..."
            raise ValueError(f"{name} must be {expected.replace('typing.', '')}; got {shown}")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the types of the parameters of a constructor, without those only type checkers see."""
    build = inspect.unwrap(cls.__init__)  # type: ignore[misc]
    if not isinstance(build, types.FunctionType):  # that of object
        return {}
    found = {}
    for name, hint in build.__annotations__.items():
        try:
            found[name] = eval(hint, build.__globals__) if isinstance(hint, str) else hint
        except Exception:  # a name that is imported for type checkers alone
            continue
    return found


def check_option_names(sample: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise ValueError for options that are no keyword-only parameters of `sample`."""
    parameters = inspect.signature(sample).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in options if name not in known]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        listed = ", ".join(known) or "none"
        raise ValueError(f"an option of these samples must be {listed}; got {unknown[0]}")


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type; True for types that are not checked."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is typing.Annotated:
        return fits(value, inner[0])
    kind = origin or (type(None) if hint is None else hint)
    if kind in PLAIN:
        is_plain = isinstance(value, PLAIN[kind]) and (kind is bool or not isinstance(value, bool))
        return is_plain and value == value
    if kind in LISTS:
        is_list = isinstance(value, list | tuple)
        return is_list and (not inner or _items_fit(value, inner, kind is tuple))
    if kind in MAPPINGS:
        is_mapping = isinstance(value, Mapping)
        return is_mapping and (len(inner) < 2 or all(fits(v, inner[1]) for v in value.values()))
    return True


def _items_fit(values: Sequence[Any], inner: Sequence[Any], is_tuple: bool) -> bool:
    """Check the items of a list, or of a tuple of any or of a fixed length."""
    if is_tuple and inner[-1] is not Ellipsis:
        pairs = zip(values, inner, strict=False)
        return len(values) == len(inner) and all(fits(value, hint) for value, hint in pairs)
    return all(fits(value, inner[0]) for value in values)
