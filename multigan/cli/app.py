"""The program: its commands, one after the other. torch is imported only inside those that need it.

What a command does is in `multigan/commands/`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer

from multigan.cli.common import complete_run_paths, load_sampler
from multigan.cli.demo import studio
from multigan.cli.doctor import doctor
from multigan.cli.dynamic_options import domain_command, dynamic_group
from multigan.cli.errors import print_warning, report_error
from multigan.cli.evaluate import compare, evaluate, report
from multigan.cli.export import export
from multigan.cli.recipes import copy, list_, show
from multigan.cli.sample import interpolate_command, sample_command
from multigan.cli.train import resume, train_command
from multigan.core.recipe_file import recipe_names
from multigan.core.serialization import domain_table, domains, import_attribute

app = typer.Typer(
    name="multigan",
    help="Train generative adversarial networks in any modality.",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from multigan import __version__

        print(f"multigan {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="print the version and exit", is_eager=True, callback=_say_version
        ),
    ] = False,
) -> None:
    pass


def _group(name: str, help: str, make: Any, names: Any, usage: str, offered: Any = None) -> None:
    """Add a command whose options depend on its first argument, which a shell may complete."""
    app.add_typer(typer.Typer(help=help), name=name, **dynamic_group(make, names, usage, offered))


app.command("list")(list_)
app.command()(show)
app.command()(copy)
_group(
    "train",
    "Train a recipe: multigan train RECIPE [--knob value ...] [flags]",
    train_command,
    lambda: list(recipe_names()),
    "RECIPE [OPTIONS]",
)
app.command()(resume)
_group(
    "sample",
    "Write samples of a run, a weight file or a ready-made generator: multigan sample RUN [-n 16]",
    sample_command,
    lambda: [],
    "RUN|FILE|READY-MADE [OPTIONS]",
    complete_run_paths,
)
_group(
    "interpolate",
    "Walk between latents: multigan interpolate RUN [--walks 10] [--frames 9]",
    interpolate_command,
    lambda: [],
    "RUN|FILE|READY-MADE [OPTIONS]",
    complete_run_paths,
)
app.command()(evaluate)
app.command()(report)
app.command()(compare)
app.command()(export)
app.command()(studio)
app.command()(doctor)


def _add_verbs() -> None:
    """Each domain's own verbs stand under its name."""
    for domain in domains():
        if names := list(domain_table(domain, "COMMANDS")):
            said = f"Commands of the domain {domain}: {', '.join(names)}"
            _group(domain, said, partial(_verb_command, domain), names.copy, "COMMAND")


def _verb_command(domain: str, name: str) -> Any:
    table = domain_table(domain, "COMMANDS")
    return (
        domain_command(name, import_attribute(table[name]), load_sampler) if name in table else None
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    warnings.showwarning = print_warning
    try:
        _add_verbs()
        status = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        return status if isinstance(status, int) else 0
    except Exception as error:  # every way out is one line and an exit status
        return report_error(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run() -> None:
    """The console script."""
    sys.exit(main())
