"""The command that publishes a generator: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import TrustRecipe, load_trusted_recipe


def export(
    run: str,
    out: Annotated[Path, typer.Option(help="output folder, in the layout of the Hub")],
    license: Annotated[
        str, typer.Option(help="license of the weights, as the Hub names it")
    ] = "unknown",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="write into a folder that is not empty")
    ] = False,
    trust_recipe: TrustRecipe = None,
) -> None:
    """Write weights, torch.export and ONNX programs and a model card of a run's generator."""
    from multigan.export.export import export

    trust = load_trusted_recipe(trust_recipe)
    result = export(run, out, license=license, overwrite=overwrite, trust=trust)
    for name, text in result.written.items():
        print(f"{out / name}: {text}")
    programs = ", ".join(name for name in result.written if name.startswith("generator"))
    for name, reason in result.skipped.items():
        print(f"{name} is skipped: {reason}; written: {programs}")
