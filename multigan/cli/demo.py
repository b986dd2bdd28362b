"""The command that opens a page to play with a generator: studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import Trust, complete_run_paths, load_sampler


def studio(
    run: Annotated[
        str, typer.Argument(autocompletion=complete_run_paths, help="a run, file or name")
    ],
    port: Annotated[int, typer.Option(help="of this machine; 0 takes any free one")] = 8765,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "cpu",
    trust: Trust = None,
) -> None:
    """Open a page on this machine to move latents, make wishes and see samples at once."""
    from multigan.studio.server import serve

    serve(load_sampler(run, device, trust), str(Path(run)), port, trust)
