"""Fit a refiner to the generator of a run and keep it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from multigan.core.adapters import training_split
from multigan.core.fitting import build_with_seed
from multigan.core.protocols import Dataset, Sampler, SupportsRefiner, SupportsRefinerEpochs
from multigan.core.refinement import DiscriminatorRefiner, RefinementCard
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config
from multigan.engine.refinement import Epoch, RefinementSettings, fit_refiner
from multigan.runs.directory import RunDirectory
from multigan.storage import pretrained
from multigan.storage.checkpoint_integrity import (
    latest_intact_checkpoint,
    resolve_weights_file,
    sha256,
)
from multigan.storage.loading import in_domain, load, load_data
from multigan.storage.refiners import refiner_file, save_refiner
from multigan.storage.weights import load_state, read_weights

DISCRIMINATOR_FILE = "discriminator.safetensors"


def refine(
    path: str | Path,
    *,
    data: str | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    settings: RefinementSettings | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    out: Path | None = None,
    trust: ModuleType | None = None,
) -> tuple[Path, RefinementCard]:
    """Fit a refiner to the best generator of a run; return its file and its card.

    `path` may also be the name of a pretrained generator, whose refiner is then written to `out`.
    The refiner is the one of the domain, else the run's discriminator. It is trained on the
    training split and stopped by the validation split of the run's data, or of `data`, unless
    `settings`, or else the domain, state 0 epochs; then only its scale is fitted. Raises
    ValueError for a missing or damaged run, for data that have changed, and for a run without a
    discriminator.
    """
    source = Path(path)
    weights = resolve_weights_file(source)
    target = out or refiner_file(source)
    if out is None and weights.parent == pretrained.pretrained_dir():
        raise ValueError(f"out must be given for a pretrained generator; got none for {path}")
    if target.is_symlink():
        raise ValueError(f"{target} must be a file; got a link")
    sampler = load(weights, trust=trust, device=device)
    dataset = training_split(load_data(_config_of(source, weights), data, trust))
    dataset = in_domain(dataset, sampler.domain)
    with torch.random.fork_rng(devices=[]):
        refiner = build_with_seed(
            lambda: _new_refiner(source, sampler, dataset, trust), keyed_rng(seed, "refiner")
        )
    settings = settings or RefinementSettings()
    if settings.epochs == 0 and isinstance(dataset.domain, SupportsRefiner):
        raise ValueError("epochs must be 1 or more for a refiner that is a new network; got 0")
    if settings.epochs is None and isinstance(dataset.domain, SupportsRefinerEpochs):
        settings = replace(settings, epochs=dataset.domain.refiner_epochs)
    card = fit_refiner(
        refiner,
        sampler.generator,
        dataset,
        seed=seed,
        device=device,
        settings=settings,
        on_epoch=on_epoch,
    )
    card = replace(card, generator=sha256(weights))
    save_refiner(target, refiner, card, dataset.domain)
    return target, card


def _config_of(source: Path, weights: Path) -> dict[str, Any]:
    """The recipe.json of a run, or that of a pretrained generator."""
    if weights.parent == pretrained.pretrained_dir():
        found: dict[str, Any] = pretrained.pretrained_metadata(weights.stem)["recipe"]
        return found
    return RunDirectory(source).read_config()


def _new_refiner(
    source: Path, sampler: Sampler, data: Dataset, trust: ModuleType | None
) -> torch.nn.Module:
    """A refiner of the domain, else the discriminator of the newest checkpoint."""
    domain, generator = data.domain, sampler.generator
    if isinstance(domain, SupportsRefiner):
        built: Any = domain.build_refiner(generator, data)
        return built  # type: ignore[no-any-return]
    checkpoint = latest_intact_checkpoint(source, DISCRIMINATOR_FILE)
    if checkpoint is None:
        raise ValueError(f"{source} must have a checkpoint with a discriminator; found none")
    file = checkpoint / DISCRIMINATOR_FILE
    description, tensors = read_weights(file)
    discriminator = from_config(description.get("discriminator"), trust)
    if not isinstance(discriminator, torch.nn.Module):
        raise ValueError(f"{file} must describe a discriminator")
    load_state(discriminator, tensors, file)
    return DiscriminatorRefiner(discriminator)
