"""Networks that start from the weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from multigan.core.recipe_file import executed
from multigan.core.serialization import rebuild
from multigan.engine.trainer import AdversarialTrainer
from multigan.storage.checkpoint_files import SAMPLED, newest_whole, sha256, weights_of
from multigan.storage.memory_limits import demand_room
from multigan.storage.weights import (
    Choices,
    load_what_fits,
    read_weights,
    rows_by_name,
    unique_state,
)

NO_DISCRIMINATOR = "discriminator (all of it)"


def initialise(trainer: AdversarialTrainer, source: str) -> dict[str, Any]:
    """Start G, its average and (from a run) D from other weights; say from where and what is fresh.

    Both come from the run's newest whole checkpoint, so that D has played against this G: the best
    generator may be of a much earlier step. Raises ValueError if nothing of G fits.
    """
    files = _files_of(Path(source))
    own = _choices(trainer.recipe.data.domain)
    unfit = _load(trainer.generator, files[0], own)
    if set(unique_state(trainer.generator)) <= set(unfit):
        raise ValueError(f"--init {source}: nothing of it fits this generator; is it of another?")
    _load(trainer.ema.module, files[0], own)
    fresh = [f"generator.{name}" for name in unfit]
    if files[1:]:
        unfit = _load(trainer.discriminator, files[1], own)
        fresh += [f"discriminator.{name}" for name in unfit]
    else:
        fresh.insert(0, NO_DISCRIMINATOR)  # a warning names the first few
    sums = {str(file.absolute()): sha256(file) for file in files}
    is_path = Path(source).exists()  # else the name of a ready-made generator
    place = str(Path(source).absolute()) if is_path else source
    return {"source": place, "files": sums, "fresh": fresh}


def _files_of(source: Path) -> list[Path]:
    """The weight file of G and, where it is a run with a whole checkpoint, that of D beside it."""
    is_run = (source / "recipe.json").is_file()
    whole = newest_whole(source) if is_run else None
    if whole is None:
        return [weights_of(source)]
    return [whole / SAMPLED, whole / "discriminator.safetensors"]


def _load(network: nn.Module, file: Path, own: Choices) -> list[str]:
    """Load what fits of a weight file; the tensors, and the choices in a table, that stay fresh."""
    description, tensors = read_weights(file)
    given = _described_choices(description["domain"])
    tensors, lacking = rows_by_name(network, tensors, own, given)
    unfit = load_what_fits(network, tensors)
    return unfit + [f"{table} ({name})" for table, names in lacking.items() for name in names]


def _choices(domain: Any) -> Choices:
    choices: Choices = getattr(domain, "choices", dict)()
    return {wish: tuple(names) for wish, names in choices.items()}


def _described_choices(description: dict[str, Any]) -> Choices:
    """Those of a domain that a weight file describes; none, if it cannot be rebuilt here."""
    try:
        demand_room(description)
        return _choices(rebuild(description, executed()))
    except (ValueError, TypeError):  # of a recipe file, or damaged: no row is taken for a choice
        return {}
