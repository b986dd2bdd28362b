"""The commands that sample from a trained generator: sample and interpolate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from multigan.cli.common import (
    AUTO,
    COMMON_OPTIONS,
    load_sampler,
    pluralize,
    print_json,
    sampling_options,
    writing_options,
)
from multigan.cli.dynamic_options import command
from multigan.core.data_counts import printable
from multigan.core.signature import Option
from multigan.runs.directory import numbered_folder

SAMPLES = Path("samples")  # where samples are written by default
PATHS = Path("interpolations")  # and the paths of interpolate


def sample_command(path: str) -> Any:
    """The command that samples from one run; it has the options of the run's domain."""
    written_as = writing_options(path)
    own_values = _defaults(path)

    def call(
        num_samples: int = 16,
        seed: int = 0,
        out: Path | None = None,
        device: str = AUTO,
        json: bool = False,
        trust_recipe: Path | None = None,
        refine: bool = False,
        candidates: int | None = None,
        **requested: Any,
    ) -> None:
        from multigan.core.refinement import RefinedGenerator

        if candidates is not None and not refine:
            raise ValueError(f"candidates must be left out without --refine; got {candidates}")
        chosen = {} if candidates is None else {"candidates": candidates}
        out = _free_folder(SAMPLES, path) if out is None else _empty_folder(out)
        sampler = load_sampler(path, device, trust_recipe, refine=refine, **chosen)
        names = [option.name for option in written_as if option.name in requested]
        files_as = {name: requested.pop(name) for name in names}
        samples = sampler.sample(num_samples, seed, **requested)
        out.mkdir(parents=True, exist_ok=True)
        files = sampler.domain.write(samples, out, **files_as)
        generator = sampler.generator
        cost = generator.candidates_per_sample if isinstance(generator, RefinedGenerator) else None
        if json:
            extra = {} if cost is None else {"candidates_per_sample": cost}
            print_json({"samples": len(samples), "out": out, "files": files, **extra})
        else:
            count, written = pluralize(len(samples), "sample"), pluralize(len(files), "file")
            spent = "" if cost is None else f", {cost:.2f} candidates a sample"
            print(f"{count}{spent}: {written} in {out}")

    options = [
        Option("num_samples", int, "number of samples", "16", flags=("-n", "--num-samples")),
        Option("out", Path, "a new or empty folder", "samples/<name>-0001, ..."),
        Option("json", bool, "end with one line of JSON"),
        Option("refine", bool, "choose among candidates by the refiner of multigan refine"),
        Option("candidates", int, "with --refine: most candidates of a sample", "16"),
    ]
    examples = [f"multigan sample {path} -n 64", f"multigan sample {path} --seed 1 --out more"]
    own = [
        replace(option, default_text=printable(str(own_values[option.name])))
        if option.name in own_values
        else option
        for option in sampling_options(path)
    ]
    options = [*options, *COMMON_OPTIONS, *own, *written_as]
    return command(path, f"Sample from {path}.", options, call, examples)


def _defaults(path: str) -> dict[str, Any]:
    """The options of sampling that belong to a pretrained generator or an export of one.

    Those of an export are only shown: `load` checks them.
    """
    from multigan.storage.checkpoint_integrity import resolve_weights_file
    from multigan.storage.pretrained import sampling_defaults
    from multigan.storage.weights import SAMPLING, read_description

    file = resolve_weights_file(Path(path))
    found = sampling_defaults(file) or read_description(file).get(SAMPLING)
    return found if isinstance(found, dict) else {}


def _free_folder(parent: Path, path: str) -> Path:
    """The first free folder of the form `parent/<name>-0001`, by the name of what is sampled."""
    return numbered_folder(parent, Path(path).name.removesuffix(".safetensors") or "run")


def _empty_folder(out: Path) -> Path:
    """The folder. Raises ValueError if it holds anything: nothing is written over."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out must be a new or empty folder; got {out}, which is not empty")
    return out


def interpolate_command(path: str) -> Any:
    """The command that interpolates between latents of one run, or between two conditions."""
    requestable = sampling_options(path)
    ends = _end_options(path, requestable)

    def call(
        out: Path | None = None,
        device: str = AUTO,
        trust_recipe: Path | None = None,
        **requested: Any,
    ) -> None:
        from multigan.core.interpolation import interpolate

        out = _free_folder(PATHS, path) if out is None else _empty_folder(out)
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
        Option("out", Path, "a new or empty folder", "interpolations/<name>-0001, ..."),
    ]
    options = [*options, *COMMON_OPTIONS, *requestable, *ends]
    examples = [f"multigan interpolate {path}", f"multigan interpolate {path} --num-paths 4"]
    return command(path, f"Interpolate between latents of {path}.", options, call, examples)


def _end_name(option: str) -> str:
    """The option for the other end of an interpolation between conditions."""
    return f"to_{option}"


def _end_options(path: str, requestable: list[Option]) -> list[Option]:
    """The options for the other end of an interpolation between conditions.

    None for a generator without that capability, or of a recipe file, which is not executed here.
    """
    from multigan.core.protocols import SupportsConditionInterpolation, SupportsConditionOptions
    from multigan.core.serialization import RECIPE_DOMAIN, get_component
    from multigan.storage.checkpoint_integrity import resolve_weights_file
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
