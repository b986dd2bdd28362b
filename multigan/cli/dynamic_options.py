"""Typer options that depend on what a command is given: a recipe, a run, a domain."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from multigan.core.recipe_file import KNOB_HELP
from multigan.core.signature import Option


def command(name: str, help: str, options: list[Option], call: Callable[..., None]) -> Any:
    """A typer command that calls `call` with the options that the user gave."""

    def run(**values: Any) -> None:
        call(**{key: value for key, value in values.items() if value is not None})

    parameters = [_parameter(option) for option in options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    app.command(name, help=help)(run)
    return typer.main.get_command(app)


def _parameter(option: Option) -> inspect.Parameter:
    flag = "--" + option.name.replace("_", "-")
    names = [f"{flag}/--no-{flag[2:]}" if option.type is bool else flag]
    help = f"{option.help} (default: {option.shown})" if option.shown else option.help
    short = [option.short] if option.short else []
    given = typer.Option(None, *short, *names, help=help, show_default=False)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=given,
        annotation=typing.Optional[option.type],  # noqa: UP045 (the type is a value here)
    )


class Completion(NamedTuple):
    """What a shell offers, in the form that click's completion reads."""

    value: str
    help: str | None = None
    type: str = "plain"


class DynamicGroup(TyperGroup):
    """A command whose first argument chooses what its options are; see `chosen_by`."""

    listed: Callable[[], list[str]] = staticmethod(lambda: [])
    found: Callable[[str], Any]
    offered: Callable[[str], list[str]] | None = None

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """What a shell offers for the first argument: what `offered` says, else the names."""
        if self.offered is None:
            return super().shell_complete(ctx, incomplete)
        return [Completion(name) for name in self.offered(incomplete)]

    def list_commands(self, ctx: Any) -> list[str]:
        """The names that `--help` lists and completion offers."""
        return self.listed()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command for this first argument; ValueError in one line if there is none."""
        return self.found(cmd_name)


def dynamic_group(
    found: Callable[[str], Any],
    listed: Callable[[], list[str]],
    metavar: str,
    offered: Callable[[str], list[str]] | None = None,
) -> Mapping[str, Any]:
    """Keyword arguments for `Typer.add_typer`: a group that asks `found` for its commands.

    `offered` are the first arguments that a shell offers for a beginning; the names by default.
    """
    members: dict[str, Any] = {"found": staticmethod(found), "listed": staticmethod(listed)}
    if offered is not None:
        members["offered"] = staticmethod(offered)
    return {
        "cls": type("Chosen", (DynamicGroup,), members),
        "subcommand_metavar": metavar,
        "no_args_is_help": True,
    }


def domain_command(name: str, function: Callable[..., Any], load: Callable[[str], Any]) -> Any:
    """A domain's own verb, a plain typed function; a `Sampler` it asks for comes from a path."""
    from multigan.core.protocols import Sampler

    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    loaded = [p.name for p in parameters if hints[p.name] is Sampler]
    helps = dict(KNOB_HELP.findall(inspect.getdoc(function) or ""))

    def run(**values: Any) -> None:
        function(**values | {key: load(values[key]) for key in loaded})

    typed = []
    for p in parameters:
        hint = str if p.name in loaded else hints[p.name]
        default = ... if p.default is inspect.Parameter.empty else p.default
        kind = typer.Option if p.kind is inspect.Parameter.KEYWORD_ONLY else typer.Argument
        given = kind(default, help=helps.get(p.name))
        keyword = inspect.Parameter.KEYWORD_ONLY
        typed.append(inspect.Parameter(p.name, keyword, default=given, annotation=hint))
    run.__signature__ = inspect.Signature(typed)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in typed}
    app = typer.Typer(add_completion=False)
    app.command(name, help=(inspect.getdoc(function) or "").partition("\n")[0])(run)
    return typer.main.get_command(app)
