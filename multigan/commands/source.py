"""Where a command's generator comes from: the options that say it, and its loading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from multigan.options import Option, options_of
from multigan.recipe_file import execute

Trust = Annotated[
    Path | None, typer.Option(help="a recipe file to execute for the classes defined in it")
]

SOURCE = [
    Option("seed", int, "another seed, other samples", "0"),
    Option("device", str, "auto, cpu, cuda or mps", "cpu"),
    Option("trust", Path, "a recipe file to execute for the classes defined in it"),
]


def wishes_of(path: str) -> list[Option]:
    """The options of the domain that a run or weight file belongs to."""
    from multigan.part import RECIPE_DOMAIN, find_part
    from multigan.weights import read_description, weights_of

    domain = read_description(weights_of(Path(path)))["domain"]
    if domain["part"].startswith(RECIPE_DOMAIN):  # its file is not executed to learn its wishes
        return []
    sample = getattr(find_part(domain["part"]), "sample", None)  # None: load() will say why
    return [] if sample is None else options_of(sample)


def sampler_of(path: str, device: str = "cpu", trust: Path | None = None) -> Any:
    """The loaded generator of a run or weight file."""
    from multigan.run.device import pick_device
    from multigan.sampler import load

    return load(path, trust=trusted(trust), device=pick_device(device))


def trusted(file: Path | None) -> Any:
    """The executed recipe file that the user named with --trust, or None."""
    return None if file is None else execute(file)
