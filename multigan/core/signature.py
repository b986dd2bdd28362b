"""Typed options from the keyword-only parameters of a function."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from multigan.core.recipe_file import parameter_help


@dataclass(frozen=True)
class Option:
    """One typed option; its value is None unless the user gives it."""

    name: str
    type: Any
    help: str = ""
    default_text: str = ""
    flags: tuple[str, ...] = ()  # in place of the flag made of the name: "-n", "--num-samples"
    panel: str = "Options"  # the heading under which the help lists it
    choices: tuple[str, ...] = ()  # the only values, if it has a closed set of them


def options_of(function: Callable[..., Any], skip: tuple[str, ...] = ()) -> list[Option]:
    """The keyword-only parameters of a typed function as options.

    The help texts are the lines `name: text` of its docstring.
    """
    hints = typing.get_type_hints(function)
    helps = parameter_help(inspect.getdoc(function) or "")
    return [
        Option(p.name, _bare(hints[p.name]), helps.get(p.name, ""), _default_text(p.default))
        for p in inspect.signature(function).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in skip
    ]


def _bare(hint: Any) -> Any:
    """`int` for `int | None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint


def _default_text(default: Any) -> str:
    return "" if default in (None, inspect.Parameter.empty) else str(default)
