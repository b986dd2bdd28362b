"""Networks that start from the weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from multigan.core.recipe_file import last_recipe_module
from multigan.core.serialization import from_config
from multigan.engine.trainer import AdversarialTrainer
from multigan.storage.checkpoint_files import (
    GENERATOR_EMA_FILE,
    latest_intact_checkpoint,
    resolve_weights_file,
    sha256,
)
from multigan.storage.memory_limits import check_model_memory
from multigan.storage.weights import (
    Choices,
    load_matching,
    match_embedding_rows,
    read_weights,
    unique_state,
)

FRESH_DISCRIMINATOR = "discriminator (all of it)"


def warm_start(trainer: AdversarialTrainer, source: str) -> dict[str, Any]:
    """Start G, its average and (from a run) D from other weights; say from where and what is fresh.

    Both come from the run's newest whole checkpoint, so that D has played against this G: the best
    generator may be of a much earlier step. Raises ValueError if nothing of G fits.
    """
    files = _files_of(Path(source))
    own = _choices(trainer.recipe.data.domain)
    unfit = _load(trainer.generator, files[0], own)
    if set(unique_state(trainer.generator)) <= set(unfit):
        raise ValueError(f"--init-from {source}: nothing of it fits this generator; is it of another?")
    _load(trainer.ema.module, files[0], own)
    fresh = [f"generator.{name}" for name in unfit]
    if files[1:]:
        unfit = _load(trainer.discriminator, files[1], own)
        fresh += [f"discriminator.{name}" for name in unfit]
    else:
        fresh.insert(0, FRESH_DISCRIMINATOR)  # a warning names the first few
    sums = {str(file.absolute()): sha256(file) for file in files}
    is_path = Path(source).exists()  # else the name of a ready-made generator
    place = str(Path(source).absolute()) if is_path else source
    return {"source": place, "files": sums, "fresh": fresh}


def _files_of(source: Path) -> list[Path]:
    """The weight file of G and, where it is a run with a whole checkpoint, that of D beside it."""
    is_run = (source / "recipe.json").is_file()
    whole = latest_intact_checkpoint(source) if is_run else None
    if whole is None:
        return [resolve_weights_file(source)]
    return [whole / GENERATOR_EMA_FILE, whole / "discriminator.safetensors"]


def _load(network: nn.Module, file: Path, own: Choices) -> list[str]:
    """Load what fits of a weight file; the tensors, and the choices in a table, that stay fresh."""
    description, tensors = read_weights(file)
    given = _described_choices(description["domain"])
    tensors, lacking = match_embedding_rows(network, tensors, own, given)
    unfit = load_matching(network, tensors)
    return unfit + [f"{table} ({name})" for table, names in lacking.items() for name in names]


def _choices(domain: Any) -> Choices:
    choices: Choices = getattr(domain, "option_choices", dict)()
    return {wish: tuple(names) for wish, names in choices.items()}


def _described_choices(description: dict[str, Any]) -> Choices:
    """Those of a domain that a weight file describes; none, if it cannot be rebuilt here."""
    try:
        check_model_memory(description)
        return _choices(from_config(description, last_recipe_module()))
    except (ValueError, TypeError):  # of a recipe file, or damaged: no row is taken for a choice
        return {}
