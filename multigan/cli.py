"""The commands. torch is imported only inside the commands that need it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from multigan.exits import explain, say_warning
from multigan.options import Option, chosen_by, command, options_of, verb
from multigan.part import domains, load_attribute, table_of
from multigan.recipe_file import execute, read_recipe, recipe_names

app = typer.Typer(
    name="multigan",
    help="Train generative adversarial networks in any modality.",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Trust = Annotated[
    Path | None, typer.Option(help="a recipe file to execute for the classes defined in it")
]


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


@app.command("list")
def list_(
    runs: Annotated[bool, typer.Option("--runs", help="list runs instead of recipes")] = False,
    folder: Annotated[Path, typer.Option(help="where the runs are")] = Path("runs"),
) -> None:
    """List the recipes; with --runs the runs, how far they are and how to go on."""
    if not runs:
        _columns([(name, read_recipe(name).summary) for name in recipe_names()])
        return
    from multigan.run.directory import find_runs, state_of

    rows = [state_of(run) for run in find_runs(folder)]
    if not rows:
        print(f"no runs in {folder}")
    _columns(
        [
            (row["run"], row["state"], f"step {row['step']} of {row['steps']}", row["next"])
            for row in rows
        ]
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


@app.command()
def show(recipe: str) -> None:
    """Show what a recipe is about and its knobs."""
    file = read_recipe(recipe)
    print(file.header.strip(), end="\n\n")
    _columns([(f"--{_dashed(k.name)}", f"{k.default}", k.help) for k in file.knobs])


@app.command()
def copy(recipe: str, file: Path) -> None:
    """Copy a recipe to a file of your own, to change it."""
    if file.exists():
        raise ValueError(f"{file} exists already; choose another name")
    if file.suffix != ".py":
        raise ValueError(f"{file} is no name of a recipe file; wanted one that ends in .py")
    file.write_bytes(read_recipe(recipe).path.read_bytes())
    print(f"{file}: edit it, then run: multigan train {file}")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _train_command(name: str) -> Any:
    from multigan.run.flags import Flags

    file = read_recipe(name)
    knobs = [Option(k.name, k.type, k.help, str(k.default)) for k in file.knobs]
    flags = [
        Option(f.name, _flag_type(str(f.type)), f.metadata["help"], _known(f.default))
        for f in fields(Flags)
    ]
    tiny = Option("tiny", bool, "the recipe's TINY values: seconds instead of minutes")

    def call(**options: Any) -> None:
        from multigan.run.start import train

        _report(train(file.path if name.endswith(".py") else name, **options))

    return command(name, file.header, [*knobs, *flags, tiny], call)


def _flag_type(annotation: str) -> type:
    return {"str": str, "int": int, "bool": bool}[annotation.removesuffix(" | None")]


def _known(default: Any) -> str:
    return "" if default is None or default is False else str(default)


def _report(run: Any) -> None:
    print(
        f"{run.ended} at step {run.step}: samples, logs and weights are in {run.path}; "
        f"more samples: multigan sample {run.path}"
    )


app.add_typer(
    typer.Typer(help="Train a recipe: multigan train RECIPE [--knob value ...] [flags]"),
    name="train",
    **chosen_by(_train_command, lambda: list(recipe_names()), "RECIPE [OPTIONS]"),
)


@app.command()
def resume(
    run: Path,
    steps: Annotated[int | None, typer.Option(help="the new total of steps")] = None,
    new_horizon: Annotated[
        bool, typer.Option("--new-horizon", help="stretch the schedules to the new total")
    ] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps")] = None,
    data: Annotated[str | None, typer.Option(help="where the same data lie now")] = None,
    trust: Trust = None,
) -> None:
    """Go on with a run as if it had never stopped."""
    from multigan.run.start import resume

    trusted = None if trust is None else execute(trust)
    _report(
        resume(run, steps=steps, new_horizon=new_horizon, device=device, data=data, trust=trusted)
    )


def _wishes(path: str) -> list[Option]:
    """The options of the domain that a run or weight file belongs to."""
    from multigan.part import RECIPE_DOMAIN, find_part
    from multigan.weights import read_weights, weights_of

    domain = read_weights(weights_of(Path(path)))[0]["domain"]
    if domain["part"].startswith(RECIPE_DOMAIN):  # its file is not executed to learn its wishes
        return []
    sample = getattr(find_part(domain["part"]), "sample", None)  # None: load() will say why
    return [] if sample is None else options_of(sample)


SOURCE = [
    Option("seed", int, "another seed, other samples", "0"),
    Option("device", str, "auto, cpu, cuda or mps", "cpu"),
    Option("trust", Path, "a recipe file to execute for the classes defined in it"),
]


def _sampler(path: str, device: str = "cpu", trust: Path | None = None) -> Any:
    from multigan.run.start import pick_device
    from multigan.sampler import load

    return load(path, trust=_trusted(trust), device=pick_device(device))


def _trusted(file: Path | None) -> Any:
    return None if file is None else execute(file)


def _sample_command(path: str) -> Any:
    def call(
        n: int = 16, seed: int = 0, out: Path = Path("samples"), device: str = "cpu", **rest: Any
    ) -> None:
        sampler = _sampler(path, device, rest.pop("trust", None))
        samples = sampler.sample(n, seed, **rest)
        out.mkdir(parents=True, exist_ok=True)
        files = sampler.domain.write(samples, out)
        if others := set(out.iterdir()) - set(files):
            warnings.warn(
                f"{out} holds {len(others)} other files, of another sampling", stacklevel=1
            )
        print(f"{len(samples)} samples: {len(files)} files in {out}")

    options = [
        Option("n", int, "how many", "16", short="-n"),
        Option("out", Path, "the folder to write to", "samples"),
    ]
    return command(path, f"Sample from {path}.", [*options, *SOURCE, *_wishes(path)], call)


app.add_typer(
    typer.Typer(help="Write samples of a run or weight file: multigan sample RUN [-n 16]"),
    name="sample",
    **chosen_by(_sample_command, lambda: [], "RUN|FILE [OPTIONS]"),
)


def _interpolate_command(path: str) -> Any:
    def call(out: Path = Path("walks"), device: str = "cpu", **rest: Any) -> None:
        from multigan.run.interpolate import interpolate

        sampler = _sampler(path, device, rest.pop("trust", None))
        print("written: " + ", ".join(str(f) for f in interpolate(sampler, out, **rest)[-1:]))

    options = [
        Option("walks", int, "how many walks", "10"),
        Option("frames", int, "samples along one walk", "9"),
        Option("out", Path, "the folder to write to", "walks"),
    ]
    return command(
        path, f"Walk between latents of {path}.", [*options, *SOURCE, *_wishes(path)], call
    )


app.add_typer(
    typer.Typer(help="Walk between latents: multigan interpolate RUN [--walks 10] [--frames 9]"),
    name="interpolate",
    **chosen_by(_interpolate_command, lambda: [], "RUN|FILE [OPTIONS]"),
)


@app.command()
def evaluate(
    run: Path,
    data: Annotated[str | None, typer.Option(help="other data of the same kind")] = None,
    seed: Annotated[int, typer.Option(help="of the samples that are measured")] = 0,
    split: Annotated[str, typer.Option(help="train, valid or test")] = "test",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "cpu",
    cache: Annotated[Path | None, typer.Option(help="where helper models are kept")] = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    trust: Trust = None,
) -> None:
    """Measure a run against its data, with floors and counts."""
    from multigan.run.evaluate import evaluate
    from multigan.run.start import pick_device

    wishes: dict[str, Any] = {"data": data, "seed": seed, "split": split, "cache": cache}
    table = evaluate(run, **wishes, device=pick_device(device), trust=_trusted(trust))
    print(table.json() if json else table.markdown())


def _add_verbs() -> None:
    """Each domain's own verbs stand under its name."""
    for domain in domains():
        names = list(table_of(domain, "COMMANDS"))
        if names:
            app.add_typer(
                typer.Typer(help=f"Commands of the domain {domain}: {', '.join(names)}"),
                name=domain,
                **chosen_by(partial(_verb_command, domain), names.copy, "COMMAND"),
            )


def _verb_command(domain: str, name: str) -> Any:
    table = table_of(domain, "COMMANDS")
    return verb(name, load_attribute(table[name]), _sampler) if name in table else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    warnings.showwarning = say_warning
    try:
        _add_verbs()
        status = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        return status if isinstance(status, int) else 0
    except Exception as error:  # every way out is one line and an exit status
        return explain(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run() -> None:
    """The console script."""
    sys.exit(main())
