"""The commands that draw from a trained generator: sample and interpolate."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from multigan.commands.said import print_json
from multigan.commands.source import SOURCE, sampler_of, wishes_of
from multigan.options import Option, command


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
        sampler = sampler_of(path, device, rest.pop("trust", None))
        samples = sampler.sample(n, seed, **rest)
        out.mkdir(parents=True, exist_ok=True)
        files = sampler.domain.write(samples, out)
        if others := set(out.iterdir()) - set(files):
            warnings.warn(
                f"{out} holds {len(others)} other files, of another sampling", stacklevel=1
            )
        if json:
            print_json({"samples": len(samples), "out": out, "files": files})
        else:
            print(f"{len(samples)} samples: {len(files)} files in {out}")

    options = [
        Option("n", int, "how many", "16", short="-n"),
        Option("out", Path, "the folder to write to", "samples"),
        Option("json", bool, "end with one line of JSON"),
    ]
    return command(path, f"Sample from {path}.", [*options, *SOURCE, *wishes_of(path)], call)


def interpolate_command(path: str) -> Any:
    """The command that walks between latents of one run."""

    def call(out: Path = Path("walks"), device: str = "cpu", **rest: Any) -> None:
        from multigan.run.interpolate import interpolate

        sampler = sampler_of(path, device, rest.pop("trust", None))
        print("written: " + ", ".join(str(f) for f in interpolate(sampler, out, **rest)[-1:]))

    options = [
        Option("walks", int, "how many walks", "10"),
        Option("frames", int, "samples along one walk", "9"),
        Option("out", Path, "the folder to write to", "walks"),
    ]
    return command(
        path, f"Walk between latents of {path}.", [*options, *SOURCE, *wishes_of(path)], call
    )
