"""Typer options that depend on the first argument of a command: a recipe, a run, a domain."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from multigan.core.number_limits import check_numbers
from multigan.core.recipe_file import parameter_help
from multigan.core.signature import Option

WIDTH, COLUMN = 79, 32  # characters of a line of help, and of its column of flags
NUM_EXAMPLES = 2  # with which a help opens


def command(
    name: str,
    help: str,
    options: list[Option],
    call: Callable[..., None],
    examples: Sequence[str] = (),
) -> Any:
    """A typer command that calls `call` with the options on the command line.

    Its help is plain text: the examples of `help` and `examples`, then the rest, then the options.
    """

    def run(**values: Any) -> None:
        given = {key: value for key, value in values.items() if value is not None}
        check_numbers(given, is_ours=False)
        call(**given)

    parameters = [_parameter(option) for option in options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    members = {"text": help_text(help, options, examples)}
    app.command(name, help=help, cls=type("BoundCommand", (PlainHelpCommand,), members))(run)
    return typer.main.get_command(app)


class PlainHelpCommand(TyperCommand):
    """A command with a help text of its own, `text`."""

    text = ""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the usage and the text."""
        formatter.write(f"Usage: {ctx.command_path} [OPTIONS]\n\n{self.text}")


def help_text(header: str, options: list[Option], examples: Sequence[str] = ()) -> str:
    """Return the help of a command: two examples or more, the header, and the options by panel.

    Indented lines of the header that begin with `multigan` are examples; those that do not fit
    WIDTH are left out. `examples` are those of this name or path, whatever its length.
    """
    lines = header.strip().splitlines()
    own = [line.strip() for line in lines if line.startswith("    multigan ")]
    fitting = [line for line in own if len(line) <= WIDTH - 2]
    shown = list(dict.fromkeys([*fitting, *examples]))[: max(len(fitting), NUM_EXAMPLES)]
    rest = "\n".join(line for line in lines if not line.startswith("    multigan "))
    parts = ["".join(f"  {example}\n" for example in shown)] if shown else []
    parts.append("".join(f"{line}\n" for line in _wrapped(re.sub(r"\n{3,}", "\n\n", rest))))
    for panel in dict.fromkeys(option.panel for option in options):
        chosen = [option for option in options if option.panel == panel]
        parts.append(f"{panel}:\n" + "".join(map(_option_text, chosen)))
    return "\n".join([*parts, _option_text(Option("help", bool, "show this text"))])


def _wrapped(text: str) -> list[str]:
    """Wrap text to WIDTH; a line that is longer is one sentence or paragraph with the next one."""
    joined: list[str] = []
    goes_on = False
    for line in text.splitlines():
        if goes_on and line and not re.match(r" |[A-Z][a-z]+:", line):
            joined[-1] += f" {line}"
        else:
            joined.append(line)
        goes_on = len(line) > WIDTH
    return [part for line in joined for part in textwrap.wrap(line, WIDTH) or [""]]


def _option_text(option: Option) -> str:
    """Return the lines of an option: its flag in one column, its help in the other."""
    flag = "--" + option.name.replace("_", "-")
    if option.type is bool:
        flag = f"{flag}/--no-{flag[2:]}" if option.default_text == "True" else flag
    else:
        flag = f"{', '.join(option.flags) or flag} {option.type.__name__.upper()}"
    choices = f"one of {', '.join(option.choices)}" if option.choices else ""
    default = "" if option.type is bool else option.default_text
    notes = "; ".join(filter(None, [choices, default and f"default: {default}"]))
    help = f"{option.help} ({notes})" if notes else option.help
    lines = textwrap.wrap(help, WIDTH - COLUMN, break_on_hyphens=False) or [""]
    first = f"  {flag}"
    if len(first) >= COLUMN:
        return "".join(f"{line}\n" for line in [first, *(" " * COLUMN + line for line in lines)])
    filled = [first.ljust(COLUMN) + lines[0], *(" " * COLUMN + line for line in lines[1:])]
    return "".join(f"{line.rstrip()}\n" for line in filled)


def _parameter(option: Option) -> inspect.Parameter:
    flag = "--" + option.name.replace("_", "-")
    names = option.flags or (f"{flag}/--no-{flag[2:]}" if option.type is bool else flag,)

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in option.choices if choice.startswith(incomplete)]

    # The type stays str: what is called refuses another choice, in the words of the Python API.
    completion: dict[str, Any] = {"autocompletion": complete} if option.choices else {}
    default = typer.Option(None, *names, help=option.help, show_default=False, **completion)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=typing.Optional[option.type],  # noqa: UP045 (the type is a value here)
    )


class Completion(NamedTuple):
    """One completion, in the form that click reads."""

    value: str
    help: str | None = None
    type: str = "plain"


class DynamicGroup(TyperGroup):
    """A command whose options depend on its first argument; see `dynamic_group`."""

    list_names: Callable[[], list[str]] = staticmethod(list)
    find: Callable[[str], Any]
    complete: Callable[[str], list[str]] | None = None

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Completions of the first argument: those of `complete`, else the names."""
        if self.complete is None:
            return super().shell_complete(ctx, incomplete)
        return [Completion(name) for name in self.complete(incomplete)]

    def list_commands(self, ctx: Any) -> list[str]:
        """The names that `--help` lists and completion offers."""
        return self.list_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command for this first argument. Raises ValueError if there is none."""
        return self.find(cmd_name)


def dynamic_group(
    find: Callable[[str], Any],
    list_names: Callable[[], list[str]],
    metavar: str,
    complete: Callable[[str], list[str]] | None = None,
) -> Mapping[str, Any]:
    """Keyword arguments of `Typer.add_typer` for a group whose commands come from `find`.

    `complete` gives the completions of the first argument; by default those of `list_names`.
    """
    members: dict[str, Any] = {"find": staticmethod(find), "list_names": staticmethod(list_names)}
    if complete is not None:
        members["complete"] = staticmethod(complete)
    return {
        "cls": type("BoundGroup", (DynamicGroup,), members),
        "subcommand_metavar": metavar,
        "no_args_is_help": True,
    }


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command with options of its own that checks their numbers first."""
    parameters = inspect.signature(function).parameters

    @functools.wraps(function)
    def run(**values: Any) -> Any:
        check_numbers({k: v for k, v in values.items() if v != parameters[k].default})
        return function(**values)

    return run


def domain_command(name: str, function: Callable[..., Any], load: Callable[[str], Any]) -> Any:
    """A command of a domain, a typed function; its `Sampler` parameters are loaded from paths."""
    from multigan.core.protocols import Sampler

    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    loaded = [p.name for p in parameters if hints[p.name] is Sampler]
    helps = parameter_help(inspect.getdoc(function) or "")

    def run(**values: Any) -> None:
        given = {p.name: values[p.name] for p in parameters if values[p.name] != p.default}
        check_numbers(given, function.__module__.startswith("multigan."))
        function(**values | {key: load(values[key]) for key in loaded})

    typed = []
    for p in parameters:
        hint = str if p.name in loaded else hints[p.name]
        default = ... if p.default is inspect.Parameter.empty else p.default
        kind = typer.Option if p.kind is inspect.Parameter.KEYWORD_ONLY else typer.Argument
        info = kind(default, help=helps.get(p.name))
        keyword = inspect.Parameter.KEYWORD_ONLY
        typed.append(inspect.Parameter(p.name, keyword, default=info, annotation=hint))
    run.__signature__ = inspect.Signature(typed)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in typed}
    app = typer.Typer(add_completion=False)
    app.command(name, help=(inspect.getdoc(function) or "").partition("\n")[0])(run)
    return typer.main.get_command(app)
