"""The commands that train: train and resume."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import typer

from multigan.cli.common import Json, RunPath, Trust, load_trusted_recipe, print_json
from multigan.cli.dynamic_options import command
from multigan.core.recipe_file import read_recipe
from multigan.core.signature import Option


def train_command(name: str) -> Any:
    """The command that trains one recipe: its options are the recipe's knobs and the flags."""
    from multigan.runs.train_options import TrainOptions

    file = read_recipe(name)
    knobs = [Option(k.name, k.type, k.help, str(k.default)) for k in file.knobs]
    flags = [
        Option(f.name, _flag_type(str(f.type)), f.metadata["help"], _known(f.default))
        for f in fields(TrainOptions)
    ]
    tiny = Option("tiny", bool, "the recipe's TINY values: seconds instead of minutes")
    said = [
        Option("json", bool, "end with one line of JSON"),
        Option("quiet", bool, "show no progress"),
        Option("verbose", bool, "show every line of the log"),
    ]

    def call(
        json: bool = False, quiet: bool = False, verbose: bool = False, **options: Any
    ) -> None:
        from multigan.training.launch import train

        recipe = file.path if name.endswith(".py") else name
        _report(train(recipe, show=_level(quiet, verbose), **options), json)

    return command(name, file.header, [*knobs, *flags, tiny, *said], call)


def _level(quiet: bool, verbose: bool) -> int:
    """How much a training shows. Raises ValueError for both wishes at once."""
    from multigan.training.metric_logging import QUIET, USUAL, VERBOSE

    if quiet and verbose:
        raise ValueError("--quiet and --verbose are both given; wanted one of them")
    return QUIET if quiet else VERBOSE if verbose else USUAL


def _flag_type(annotation: str) -> type:
    return {"str": str, "int": int, "bool": bool}[annotation.removesuffix(" | None")]


def _known(default: Any) -> str:
    return "" if default is None or default is False else str(default)


def _report(run: Any, json: bool) -> None:
    if not run.is_first:  # of several processes that have trained it
        return
    if json:
        print_json({"run": run.path, "ended": run.ended, "step": run.step})
        return
    print(
        f"{run.ended} at step {run.step}: samples, logs and weights are in {run.path}; "
        f"more samples: multigan sample {run.path}"
    )


def resume(
    run: RunPath,
    steps: Annotated[int | None, typer.Option(help="the new total of steps")] = None,
    extend_schedules: Annotated[
        bool, typer.Option("--extend-schedules", help="stretch the schedules to the new total")
    ] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps")] = None,
    data: Annotated[str | None, typer.Option(help="where the same data lie now")] = None,
    cache_dir: Annotated[str | None, typer.Option(help="folder of cached computations")] = None,
    trust: Trust = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="show every line of the log")] = False,
) -> None:
    """Go on with a run as if it had never stopped."""
    from multigan.training.launch import resume

    wishes: dict[str, Any] = {"steps": steps, "extend_schedules": extend_schedules, "data": data}
    wishes["cache_dir"] = cache_dir
    show = _level(quiet, verbose)
    _report(resume(run, **wishes, device=device, trust=load_trusted_recipe(trust), show=show), json)
