"""The commands that sample from a trained generator: sample and interpolate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multigan.cli.common import (
    AUTO,
    COMMON_OPTIONS,
    load_sampler,
    pluralize,
    print_json,
    sampling_options,
)
from multigan.cli.dynamic_options import command
from multigan.core.signature import Option


def sample_command(path: str) -> Any:
    """The command that samples from one run; it has the sampling options of the run's domain."""

    def call(
        num_samples: int = 16,
        seed: int = 0,
        out: Path = Path("samples"),
        device: str = AUTO,
        json: bool = False,
        trust_recipe: Path | None = None,
        **requested: Any,
    ) -> None:
        sampler = load_sampler(path, device, trust_recipe)
        samples = sampler.sample(num_samples, seed, **requested)
        out.mkdir(parents=True, exist_ok=True)
        files = sampler.domain.write(samples, out)
        if others := set(out.iterdir()) - set(files):
            warnings.warn(
                f"{out} also holds {pluralize(len(others), 'file')} of another command",
                stacklevel=1,
            )
        if json:
            print_json({"samples": len(samples), "out": out, "files": files})
        else:
            count, written = pluralize(len(samples), "sample"), pluralize(len(files), "file")
            print(f"{count}: {written} in {out}")

    options = [
        Option("num_samples", int, "number of samples", "16", flags=("-n", "--num-samples")),
        Option("out", Path, "output folder", "samples"),
        Option("json", bool, "end with one line of JSON"),
    ]
    return command(
        path, f"Sample from {path}.", [*options, *COMMON_OPTIONS, *sampling_options(path)], call
    )


def interpolate_command(path: str) -> Any:
    """The command that interpolates between latents of one run, or between two conditions."""
    requestable = sampling_options(path)
    ends = _end_options(path, requestable)

    def call(
        out: Path = Path("interpolation"),
        device: str = AUTO,
        trust_recipe: Path | None = None,
        **requested: Any,
    ) -> None:
        from multigan.core.interpolation import interpolate

        sampler = load_sampler(path, device, trust_recipe)
        names = [option.name for option in requestable if _end_name(option.name) in requested]
        if to := {name: requested.pop(_end_name(name)) for name in names}:
            requested["to"] = to
        files = interpolate(sampler, out, **requested)
        overview = [str(file) for file in files if file.stem.startswith("paths")]
        print("written: " + ", ".join(overview or [str(files[-1])]))

    options = [
        Option("num_paths", int, "number of interpolation paths", "10"),
        Option("num_steps", int, "samples along each path", "9"),
        Option("out", Path, "output folder", "interpolation"),
    ]
    options = [*options, *COMMON_OPTIONS, *requestable, *ends]
    return command(path, f"Interpolate between latents of {path}.", options, call)


def _end_name(option: str) -> str:
    """The option for the other end of an interpolation between conditions."""
    return f"to_{option}"


def _end_options(path: str, requestable: list[Option]) -> list[Option]:
    """The options for the other end of an interpolation between conditions.

    None for a generator without that capability, or of a recipe file, which is not executed here.
    """
    from multigan.core.protocols import SupportsConditionInterpolation, SupportsConditionOptions
    from multigan.core.serialization import RECIPE_DOMAIN, get_component
    from multigan.storage.checkpoint_files import resolve_weights_file
    from multigan.storage.weights import read_description

    description = read_description(resolve_weights_file(Path(path)))
    stored = description.get("generator")
    name = stored["component"] if stored else RECIPE_DOMAIN  # load() reports a missing one
    if not requestable or name.startswith(RECIPE_DOMAIN):
        return []
    if not issubclass(get_component(name), SupportsConditionInterpolation):
        return []
    names: Sequence[str] = [option.name for option in requestable]
    domain = description["domain"]["component"]
    if not domain.startswith(RECIPE_DOMAIN):
        cls = get_component(domain)
        names = cls.condition_options if isinstance(cls, SupportsConditionOptions) else names
    return [
        Option(_end_name(option.name), option.type, f"{option.name} at the other end")
        for option in requestable
        if option.name in names
    ]
