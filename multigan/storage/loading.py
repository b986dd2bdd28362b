"""Load samplers, and rebuild the datasets that runs were trained on."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from multigan.core.protocols import Dataset, Sampler
from multigan.core.serialization import from_config
from multigan.storage.checkpoint_files import resolve_weights_file
from multigan.storage.files import parse_json
from multigan.storage.memory_limits import check_model_memory, memory_budget
from multigan.storage.pretrained import pretrained_dir
from multigan.storage.weights import load_state, read_weights


def load_data(
    description: dict[str, Any], source: str | None = None, trust: ModuleType | None = None
) -> Dataset:
    """The data of a run; `source` replaces where they come from, and skips the check.

    Raises ValueError where they have changed since the training, or the description is damaged.
    """
    stored = description["recipe"].get("data")
    if not isinstance(stored, dict):
        raise ValueError("recipe.json is damaged: its recipe lacks data")
    check_model_memory(stored)
    if source is not None:
        return from_config(with_source(stored, source), trust)
    data = from_config(stored, trust)
    if not hasattr(data, "fingerprint"):
        raise ValueError("recipe.json is damaged: its data are no data set")
    if data.fingerprint != description["fingerprint"]:
        raise ValueError(
            f"the data of the run have changed since training ({stored['part']}); "
            "name other data with --data"
        )
    return data


def with_source(stored: dict[str, Any], source: str) -> dict[str, Any]:
    """The description of a data part, with `source` as where its data come from."""
    if "source" not in stored["arguments"]:
        raise ValueError(f"{stored['part']} has no source that --data could replace")
    return stored | {"arguments": stored["arguments"] | {"source": source}}


def load_run_data(run: Path, source: str | None = None) -> Dataset:
    """The same of a run directory, for a domain's own verbs; ValueError where it is none."""
    try:
        description = parse_json((run / "recipe.json").read_text())
        whole = isinstance(description["recipe"], dict) and "fingerprint" in description
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{run} is no run directory with a whole recipe.json") from error
    if not whole:
        raise ValueError(f"{run} is no run directory with a whole recipe.json")
    return load_data(description, source)


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
    file = resolve_weights_file(Path(path))
    description, tensors = read_weights(file)
    found = description["domain"]["component"].partition("/")[0]
    if domain is not None and found != domain:
        raise ValueError(f"{path} holds a generator of the domain {found!r}, not {domain!r}")
    stored = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten at once
        if file.parent != pretrained_dir():  # nobody else wrote those
            check_model_memory(
                [description["domain"], description.get("generator")], memory_budget(stored)
            )
        generator = from_config(description.get("generator"), trust)
    decoder = from_config(description["domain"], trust)
    if not isinstance(generator, torch.nn.Module):
        raise ValueError(f"{file} describes no generator")
    if not hasattr(decoder, "decode"):
        raise ValueError(f"{file} describes no domain, but a {type(decoder).__name__}")
    load_state(generator, tensors, file)
    generator.to(device).eval().requires_grad_(False)
    return Sampler(decoder, generator)  # type: ignore[arg-type]
