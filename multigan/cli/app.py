"""The command-line program: one line for each command.

The commands are in the other modules of `multigan.cli`; torch is imported inside those that need
it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Annotated, Any

import typer

from multigan.cli.common import complete_run_paths, load_sampler
from multigan.cli.demo import studio, watch
from multigan.cli.doctor import doctor
from multigan.cli.dynamic_options import checked, domain_command, dynamic_group
from multigan.cli.errors import print_warning, report_error
from multigan.cli.evaluate import compare, evaluate, report
from multigan.cli.export import export, push
from multigan.cli.recipes import copy, list_, show
from multigan.cli.refine import refine
from multigan.cli.sample import interpolate_command, sample_command
from multigan.cli.train import resume, train_command
from multigan.core.recipe_file import recipe_names
from multigan.core.serialization import domain_table, domains, import_attribute

app = typer.Typer(
    name="multigan",
    help="Train generative adversarial networks in any modality.\n\n"
    "Examples: multigan train image; multigan sample image -n 16",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        from multigan.core.version import __version__

        print(f"multigan {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="print the version and exit", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


FIRST = (
    "train",
    "resume",
    "sample",
    "interpolate",
    "refine",
    "evaluate",
    "report",
    "compare",
    "watch",
    "studio",
    "export",
    "push",
    "list",
    "show",
    "copy",
    "doctor",
)  # the order of the commands in the help, before those of the domains


def _group(
    name: str,
    help: str,
    find: Callable[[str], Any],
    names: Callable[[], list[str]],
    usage: str,
    complete: Callable[[str], list[str]] | None = None,
) -> None:
    """Add a command whose options depend on its first argument, which `complete` completes."""
    app.add_typer(typer.Typer(help=help), name=name, **dynamic_group(find, names, usage, complete))


app.command("list")(list_)
app.command()(checked(show))
app.command()(checked(copy))
_group(
    "train",
    "Train a recipe, or repeat a run: multigan train RECIPE|RUN [--HYPERPARAMETER VALUE ...]",
    train_command,
    lambda: list(recipe_names()),
    "RECIPE|RUN [OPTIONS]",
    lambda text: [*(n for n in recipe_names() if n.startswith(text)), *complete_run_paths(text)],
)
app.command()(checked(resume))
_group(
    "sample",
    "Write samples of a run, a weight file or a pretrained generator: multigan sample RUN [-n 16]",
    sample_command,
    list,
    "RUN|FILE|PRETRAINED [OPTIONS]",
    complete_run_paths,
)
_group(
    "interpolate",
    "Interpolate between latents: multigan interpolate RUN [--num-paths 10] [--num-steps 9]",
    interpolate_command,
    list,
    "RUN|FILE|PRETRAINED [OPTIONS]",
    complete_run_paths,
)
app.command()(checked(refine))
app.command()(checked(evaluate))
app.command()(checked(report))
app.command()(checked(compare))
app.command()(checked(export))
app.command()(checked(push))
app.command()(checked(studio))
app.command()(checked(watch))
app.command()(checked(doctor))


@cache
def program() -> Any:
    """The command line with the commands of each domain under its name, built once."""
    for domain in domains():
        if names := list(domain_table(domain, "COMMANDS")):
            help = f"Commands of the domain {domain}: {', '.join(names)}"
            _group(domain, help, partial(_domain_command, domain), names.copy, "COMMAND")
    group: Any = typer.main.get_command(app)
    places = {name: place for place, name in enumerate(FIRST)}
    names = sorted(group.commands, key=lambda name: places.get(name, len(places)))
    group.commands = {name: group.commands[name] for name in names}
    return group


def _domain_command(domain: str, name: str) -> Any:
    table = domain_table(domain, "COMMANDS")
    return (
        domain_command(name, import_attribute(table[name]), load_sampler) if name in table else None
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    warnings.showwarning = print_warning
    try:
        status = program()(
            args=None if arguments is None else list(arguments), standalone_mode=False
        )
        return status if isinstance(status, int) else 0
    except Exception as error:  # every error is one line and an exit status
        return report_error(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run() -> None:
    """The console script."""
    status = main()
    for stream in (sys.stdout, sys.stderr):
        _discard_unless_open(stream)
    sys.exit(status)


def _discard_unless_open(stream: Any) -> None:
    """Send what cannot be written any more to the null device, so that the exit status stays."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
