"""Refiners on disk: `refiner.safetensors`, next to the generator that it was fitted to."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from safetensors.torch import save

from multigan.core.protocols import Domain, Refiner
from multigan.core.refinement import RefinementCard
from multigan.core.serialization import from_config, to_config
from multigan.storage import pretrained
from multigan.storage.checkpoint_integrity import resolve_weights_file, sha256
from multigan.storage.files import write_atomically
from multigan.storage.memory_limits import check_model_memory, memory_budget
from multigan.storage.weights import FORMAT, load_state, read_weights, unique_state

REFINER_FILE = "refiner.safetensors"


class StoredRefiner(NamedTuple):
    """A fitted refiner and its card."""

    refiner: Refiner
    card: RefinementCard


def refiner_file(path: Path) -> Path:
    """The place of the refiner of a run, a weight file or a pretrained generator."""
    if (path / "recipe.json").is_file():
        return path / REFINER_FILE
    weights = resolve_weights_file(path)
    if weights.parent == pretrained.pretrained_dir():
        return pretrained.refiners_dir() / weights.name
    return weights.parent / REFINER_FILE


def save_refiner(path: Path, refiner: Any, card: RefinementCard, domain: Domain) -> None:
    """Write a refiner with its card, atomically; of the domain its name alone."""
    kind = {"component": to_config(domain)["component"]}
    content = {"domain": kind, "refiner": to_config(refiner)}
    text = json.dumps({"format": FORMAT, "card": card.to_json(), **content}, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(unique_state(refiner), {"multigan": text}))


def load_refiner(
    path: Path, trust: ModuleType | None = None, device: str | torch.device = "cpu"
) -> StoredRefiner:
    """The refiner of a run, a weight file or a pretrained generator, in eval mode.

    Raises ValueError where there is none, for a damaged file, and for the refiner of other weights.
    """
    file = refiner_file(path)
    if not file.is_file():
        raise ValueError(f"{path} must have a refiner; it has none: multigan refine {path}")
    description, tensors = read_weights(file)
    card = RefinementCard.from_json(description.get("card"))
    if card.generator != sha256(resolve_weights_file(path)):
        raise ValueError(
            f"{file} must be of the generator of {path}; it was fitted to other weights: "
            f"multigan refine {path}"
        )
    stored = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if file.parent != pretrained.refiners_dir():  # packaged files are trusted
        check_model_memory(description.get("refiner"), memory_budget(stored))
    with torch.random.fork_rng(devices=[]):  # the initial weights are overwritten at once
        refiner = from_config(description.get("refiner"), trust)
    if not isinstance(refiner, torch.nn.Module) or not isinstance(refiner, Refiner):
        raise ValueError(f"{file} must describe a refiner; got a {type(refiner).__name__}")
    try:
        load_state(refiner, tensors, file)
    except ValueError as error:
        raise ValueError(f"{error} Fit it again: multigan refine {path}") from error
    refiner.to(device).eval().requires_grad_(False)
    return StoredRefiner(refiner, card)
