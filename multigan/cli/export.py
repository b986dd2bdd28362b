"""The commands that publish a generator: export and push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import TrustRecipe, load_trusted_recipe

License = Annotated[str, typer.Option(help="license of the weights, as the Hub names it")]


def export(
    run: str,
    out: Annotated[Path, typer.Option(help="output folder, in the layout of the Hub")],
    license: License = "unknown",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="write into a folder that is not empty")
    ] = False,
    space: Annotated[
        bool, typer.Option("--space", help="add app.py: a Gradio page for a Hub Space")
    ] = False,
    trust_recipe: TrustRecipe = None,
) -> None:
    """Write weights, torch.export and ONNX programs and a model card of a run's generator."""
    from multigan.export.export import export

    trust = load_trusted_recipe(trust_recipe)
    result = export(run, out, license=license, overwrite=overwrite, trust=trust, space=space)
    for name, text in result.written.items():
        print(f"{out / name}: {text}")
    programs = ", ".join(name for name in result.written if name.startswith("generator"))
    for name, reason in result.skipped.items():
        print(f"{name} is skipped: {reason}; written: {programs}")


def push(
    run: str,
    name: Annotated[str, typer.Argument(help="model on the Hub: user/name")],
    license: License = "unknown",
    private: Annotated[
        bool, typer.Option("--private", help="create the repository as private")
    ] = False,
    trust_recipe: TrustRecipe = None,
) -> None:
    """Upload weights, programs and a model card of a run's generator to the Hugging Face Hub.

    The token is that of HF_TOKEN or of `hf auth login`.
    """
    from multigan.export.export import push

    trust = load_trusted_recipe(trust_recipe)
    commit = push(run, name, license=license, private=private, trust=trust)
    print(f"uploaded to {commit}")
    print(f"sample it: multigan sample hf://{name}")
