"""The commands that judge a run: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from multigan.commands.said import Json, RunPath
from multigan.commands.source import Trust, trusted


def evaluate(
    run: RunPath,
    data: Annotated[str | None, typer.Option(help="other data of the same kind")] = None,
    seed: Annotated[int, typer.Option(help="of the samples that are measured")] = 0,
    split: Annotated[str, typer.Option(help="train, valid or test")] = "test",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "cpu",
    cache: Annotated[Path | None, typer.Option(help="where helper models are kept")] = None,
    json: Json = False,
    trust: Trust = None,
) -> None:
    """Measure a run against its data, with floors and counts."""
    from multigan.run.device import pick_device
    from multigan.run.evaluate import evaluate

    wishes: dict[str, Any] = {"data": data, "seed": seed, "split": split, "cache": cache}
    table = evaluate(run, **wishes, device=pick_device(device), trust=trusted(trust))
    print(table.json() if json else table.markdown())
