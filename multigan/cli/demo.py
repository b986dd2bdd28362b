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

HostOption = Annotated[
    str, typer.Option(help="address to serve at; others than this machine need the printed token")
]


def studio(
    runs: Annotated[
        list[str],
        typer.Argument(
            autocompletion=complete_run_paths,
            help="runs, weight files or pretrained generators",
        ),
    ],
    port: Annotated[int, typer.Option(help="local port; 0 takes any free one")] = 8765,
    host: HostOption = "127.0.0.1",
    device: Device = AUTO,
    trust_recipe: TrustRecipe = None,
) -> None:
    """Serve a local page with sampling options and latent edits of generators.

    Examples: multigan studio image; multigan studio runs/image-0001 music --port 0
    """
    from multigan.studio.access import access_for
    from multigan.studio.handlers import RequestHandler
    from multigan.studio.server import serve

    handlers = [
        RequestHandler(load_sampler(run, device, trust_recipe), str(Path(run)), trust_recipe)
        for run in runs
    ]
    serve(handlers, port, access_for(host))


def watch(
    run: RunPath,
    port: Annotated[int, typer.Option(help="local port; 0 takes any free one")] = 8766,
    host: HostOption = "127.0.0.1",
) -> None:
    """Serve the report of a run as a live page that grows while the run is trained.

    Examples: multigan watch runs/image-0001; multigan watch runs/image-0001 --port 0
    """
    from multigan.studio.access import access_for
    from multigan.studio.watch import watch

    watch(run, port, access_for(host))
