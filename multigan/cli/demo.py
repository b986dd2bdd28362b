"""The commands that serve a local page: studio and watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import (
    AUTO,
    Device,
    RunPath,
    TrustRecipe,
    complete_run_paths,
    load_sampler,
)


def studio(
    run: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_run_paths,
            help="a run, a weight file or a pretrained generator",
        ),
    ],
    port: Annotated[int, typer.Option(help="local port; 0 takes any free one")] = 8765,
    device: Device = AUTO,
    trust_recipe: TrustRecipe = None,
) -> None:
    """Serve a local page with sampling options and latent edits of a generator."""
    from multigan.studio.server import serve

    serve(load_sampler(run, device, trust_recipe), str(Path(run)), port, trust_recipe)


def watch(
    run: RunPath,
    port: Annotated[int, typer.Option(help="local port; 0 takes any free one")] = 8766,
) -> None:
    """Serve the report of a run as a live page that grows while the run is trained.

    Examples: multigan watch runs/image-0001; multigan watch runs/image-0001 --port 0
    """
    from multigan.studio.watch import watch

    watch(run, port)
