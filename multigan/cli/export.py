"""The command that makes a generator ready for others: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import Trust, load_trusted_recipe


def export(
    run: str,
    out: Annotated[Path, typer.Option(help="the folder to write, as the Hub wants it")],
    license: Annotated[str, typer.Option(help="of the weights, as the Hub names it")] = "unknown",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="into a folder that is not empty")
    ] = False,
    trust: Trust = None,
) -> None:
    """Write weights, torch.export's and ONNX programs and a model card of a run's generator."""
    from multigan.export.export import export

    made = export(run, out, license=license, overwrite=overwrite, trust=load_trusted_recipe(trust))
    for name, what in made.written.items():
        print(f"{out / name}: {what}")
    works = ", ".join(name for name in made.written if name.startswith("generator"))
    for name, why in made.skipped.items():
        print(f"{name} is left out: {why}; what works: {works}")
