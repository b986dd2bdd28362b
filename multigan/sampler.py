"""Load a trained generator: rebuilt from JSON and safetensors, read-only, no data needed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import torch

from multigan.contract import Sampler
from multigan.part import rebuild
from multigan.ready_made import ready_folder
from multigan.room import demand_room, most_bytes
from multigan.weights import load_state, read_weights, weights_of


def load(
    path: str | Path,
    domain: str | None = None,
    trust: ModuleType | None = None,
    device: str | torch.device = "cpu",
) -> Sampler:
    """The generator of a run directory (its best, else its newest) or of one weight file.

    `domain` demands a domain by name; `trust` is the executed recipe file that may answer for
    classes recorded as `recipe/ClassName`. Raises ValueError, in one line, for what is missing,
    damaged, foreign or of another domain.
    """
    file = weights_of(Path(path))
    description, tensors = read_weights(file)
    found = description["domain"]["part"].partition("/")[0]
    if domain is not None and found != domain:
        raise ValueError(f"{path} holds a generator of the domain {found!r}, not {domain!r}")
    stored = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten at once
        if file.parent != ready_folder():  # nobody else wrote those
            demand_room([description["domain"], description.get("generator")], most_bytes(stored))
        generator = rebuild(description.get("generator"), trust)
    decoder = rebuild(description["domain"], trust)
    if not isinstance(generator, torch.nn.Module):
        raise ValueError(f"{file} describes no generator")
    if not hasattr(decoder, "decode"):
        raise ValueError(f"{file} describes no domain, but a {type(decoder).__name__}")
    load_state(generator, tensors, file)
    generator.to(device).eval().requires_grad_(False)
    return Sampler(decoder, generator)  # type: ignore[arg-type]
