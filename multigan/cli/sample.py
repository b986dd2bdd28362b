"""The commands that draw from a trained generator: sample and interpolate."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from multigan.cli.common import (
    COMMON_OPTIONS,
    load_sampler,
    pluralize,
    print_json,
    sampling_options,
)
from multigan.cli.dynamic_options import command
from multigan.core.signature import Option


def sample_command(path: str) -> Any:
    """The command that samples from one run: its options are the wishes of the run's domain."""

    def call(
        n: int = 16,
        seed: int = 0,
        out: Path = Path("samples"),
        device: str = "cpu",
        json: bool = False,
        **rest: Any,
    ) -> None:
        sampler = load_sampler(path, device, rest.pop("trust", None))
        samples = sampler.sample(n, seed, **rest)
        out.mkdir(parents=True, exist_ok=True)
        files = sampler.domain.write(samples, out)
        if others := set(out.iterdir()) - set(files):
            warnings.warn(
                f"{out} holds {pluralize(len(others), 'other file')}, of another sampling",
                stacklevel=1,
            )
        if json:
            print_json({"samples": len(samples), "out": out, "files": files})
        else:
            made, written = pluralize(len(samples), "sample"), pluralize(len(files), "file")
            print(f"{made}: {written} in {out}")

    options = [
        Option("n", int, "how many", "16", short="-n"),
        Option("out", Path, "the folder to write to", "samples"),
        Option("json", bool, "end with one line of JSON"),
    ]
    return command(
        path, f"Sample from {path}.", [*options, *COMMON_OPTIONS, *sampling_options(path)], call
    )


def interpolate_command(path: str) -> Any:
    """The command that walks between latents of one run, or between two of its conditions."""
    wishes = sampling_options(path)

    def call(out: Path = Path("walks"), device: str = "cpu", **rest: Any) -> None:
        from multigan.core.interpolation import interpolate

        sampler = load_sampler(path, device, rest.pop("trust", None))
        if to := {w.name: rest.pop(_to(w.name)) for w in wishes if _to(w.name) in rest}:
            rest["to"] = to
        files = interpolate(sampler, out, **rest)
        shown = [str(file) for file in files if file.stem.startswith("walks")]
        print("written: " + ", ".join(shown or [str(files[-1])]))

    options = [
        Option("walks", int, "how many walks", "10"),
        Option("frames", int, "samples along one walk", "9"),
        Option("out", Path, "the folder to write to", "walks"),
    ]
    options = [*options, *COMMON_OPTIONS, *wishes, *_ends(path, wishes)]
    return command(path, f"Walk between latents of {path}.", options, call)


def _to(wish: str) -> str:
    """The option that says a wish for the other end of a walk."""
    return f"to_{wish}"


def _ends(path: str, wishes: list[Option]) -> list[Option]:
    """The options for the other end of a walk between conditions.

    None for a generator that cannot stand between two; its recipe is not executed.
    """
    from multigan.core.serialization import RECIPE_DOMAIN, get_component
    from multigan.storage.checkpoint_files import resolve_weights_file
    from multigan.storage.weights import read_description

    description = read_description(resolve_weights_file(Path(path)))
    described = description.get("generator")
    part = described["component"] if described else RECIPE_DOMAIN  # load() will say why
    if (
        not wishes
        or part.startswith(RECIPE_DOMAIN)
        or not hasattr(get_component(part), "interpolate_condition")
    ):
        return []
    names = [wish.name for wish in wishes]
    domain = description["domain"]["component"]
    is_known = not domain.startswith(RECIPE_DOMAIN)
    conditions = getattr(get_component(domain), "condition_options", names) if is_known else names
    return [
        Option(_to(wish.name), wish.type, f"the {wish.name} at the other end")
        for wish in wishes
        if wish.name in conditions
    ]
