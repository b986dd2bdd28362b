"""The commands that train: train and resume."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from multigan.cli.common import (
    CACHE_HELP,
    DEVICE_HELP,
    Json,
    RunPath,
    TrustRecipe,
    load_trusted_recipe,
    print_json,
)
from multigan.cli.dynamic_options import command
from multigan.core.recipe_file import read_recipe, recipe_names
from multigan.core.signature import Option
from multigan.core.wrapping import labeled

EXPERIMENT, RUN = "Experiment", "Run"  # headings of the help


def train_command(name: str) -> Any:
    """The command that trains one recipe; it has the recipe's hyperparameters and TrainOptions.

    `name` may be a run of such a recipe, whose options are then the defaults.
    """
    from multigan.runs.train_options import TrainOptions
    from multigan.runs.train_settings import is_run, read_settings, settings_of_run

    given = name
    repeated: dict[str, Any] = {}
    if name not in recipe_names() and is_run(name):
        name, repeated = settings_of_run(name)
    file = read_recipe(name)
    hyperparameters = [
        Option(
            h.name, h.type, h.help, _default_text(h.default), panel=EXPERIMENT, choices=h.choices
        )
        for h in file.hyperparameters
    ]
    tiny = "the recipe's TINY values: seconds instead of minutes"
    experiment = [*hyperparameters, Option("tiny", bool, tiny, panel=EXPERIMENT)]
    flags = [
        Option(
            f.name,
            _flag_type(str(f.type)),
            f.metadata["help"],
            _default_text(f.default),
            panel=RUN,
            choices=f.metadata["choices"],
        )
        for f in fields(TrainOptions)
    ]
    config = "a YAML or TOML file of these options; the command line wins"
    output = [
        Option("config", Path, config, panel=RUN),
        Option("json", bool, "end with one line of JSON", panel=RUN),
        Option("quiet", bool, "print no progress", panel=RUN),
        Option("verbose", bool, "print every line of the log", panel=RUN),
    ]

    def call(
        config: Path | None = None,
        json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        **options: Any,
    ) -> None:
        from multigan.training.launch import train

        recipe = file.path if name.endswith(".py") else name
        stated = read_settings(config, [*experiment, *flags]) if config else {}
        values = repeated | stated | options
        _report(train(recipe, show=_level(quiet, verbose), **values), json)

    examples = [f"multigan train {given}", f"multigan train {given} --tiny --out runs/trial"]
    return command(name, file.header, [*experiment, *flags, *output], call, examples)


def _level(quiet: bool, verbose: bool) -> int:
    """Verbosity of the progress display. Raises ValueError for both options at once."""
    from multigan.training.metric_logging import QUIET, USUAL, VERBOSE

    if quiet and verbose:
        raise ValueError("use one of --quiet and --verbose; got both")
    return QUIET if quiet else VERBOSE if verbose else USUAL


def _flag_type(annotation: str) -> type:
    return {"str": str, "int": int, "bool": bool}[annotation.removesuffix(" | None")]


def _default_text(default: Any) -> str:
    return "" if default is None or default is False else str(default)


def _report(run: Any, json: bool) -> None:
    if not run.is_first:  # one of several processes prints
        return
    from multigan.report.report import REPORT
    from multigan.report.run_summary import RunSummary
    from multigan.runs.directory import RunDirectory

    directory = RunDirectory(run.path)
    summary = RunSummary(directory)
    about = {"quality": summary.quality_sentence, "stability": summary.stability_sentence}
    if json:
        print_json({"run": run.path, "ended": run.ended, "step": run.step, **about})
        return
    time = f" in {summary.duration}" if summary.duration else ""
    page = run.path / REPORT
    lines = {"ended": f"{run.ended} at step {run.step:,}{time}", **about}
    if summary.best_step is not None:
        lines["best"] = f"step {summary.best_step:,}: {directory.checkpoints / 'best'}"
    lines["samples"] = str(directory.samples)
    lines["report"] = str(page) if page.is_file() else f"multigan report {run.path}"
    for name, text in lines.items():
        print(labeled(name, text))
    for name, verb in (("next", "sample"), ("", "evaluate"), ("", "studio")):
        print(labeled(name, f"multigan {verb} {run.path}"))


def resume(
    run: RunPath,
    steps: Annotated[int | None, typer.Option(help="new total number of steps")] = None,
    extend_schedules: Annotated[
        bool, typer.Option("--extend-schedules", help="stretch schedules to the new total of steps")
    ] = False,
    device: Annotated[str | None, typer.Option(help=DEVICE_HELP)] = None,
    data: Annotated[str | None, typer.Option(help="the present location of the same data")] = None,
    cache_dir: Annotated[str | None, typer.Option(help=CACHE_HELP)] = None,
    trust_recipe: TrustRecipe = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print no progress")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="print every line of the log")] = False,
) -> None:
    """Continue a run as if it had never stopped."""
    from multigan.training.launch import resume

    resumed = resume(
        run,
        steps=steps,
        extend_schedules=extend_schedules,
        data=data,
        cache_dir=cache_dir,
        device=device,
        trust=load_trusted_recipe(trust_recipe),
        show=_level(quiet, verbose),
    )
    _report(resumed, json)
