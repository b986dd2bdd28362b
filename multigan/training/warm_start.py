"""Initialization of networks from the weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from multigan.core.protocols import SupportsOptionChoices, SupportsWeightsOf
from multigan.core.recipe_file import last_recipe_module
from multigan.core.serialization import from_config
from multigan.engine.trainer import AdversarialTrainer
from multigan.storage.checkpoint_integrity import (
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
    """Load matching weights of `source` into the generator, its EMA and the discriminator.

    Generator and discriminator come from the newest intact checkpoint of a run, so that they were
    trained together. A weight file or a pretrained name has no discriminator. Returns the source,
    the checksums of its files, and the names of tensors that keep their fresh initialization.
    Raises ValueError if no tensor of the generator fits, or if the domain refuses their meaning.
    """
    files = _files_of(Path(source))
    own = trainer.recipe.data.domain
    unfit = _load(trainer.generator, files[0], own, source)
    if set(unique_state(trainer.generator)) <= set(unfit):
        raise ValueError(
            f"--init-from {source}: nothing of it fits this generator; is it of another?"
        )
    _load(trainer.ema.module, files[0], own, source)
    fresh = [f"generator.{name}" for name in unfit]
    if files[1:]:
        unfit = _load(trainer.discriminator, files[1], own, source)
        fresh += [f"discriminator.{name}" for name in unfit]
    else:
        fresh.insert(0, FRESH_DISCRIMINATOR)  # a warning names the first few
    sums = {str(file.absolute()): sha256(file) for file in files}
    is_path = Path(source).exists()  # else a pretrained name
    origin = str(Path(source).absolute()) if is_path else source
    return {"source": origin, "files": sums, "fresh": fresh}


def _files_of(source: Path) -> list[Path]:
    """Weight files of the generator and, from the checkpoint of a run, of the discriminator."""
    is_run = (source / "recipe.json").is_file()
    whole = latest_intact_checkpoint(source) if is_run else None
    if whole is None:
        return [resolve_weights_file(source)]
    return [whole / GENERATOR_EMA_FILE, whole / "discriminator.safetensors"]


def _load(network: nn.Module, file: Path, own: object, source: str) -> list[str]:
    """Load the matching tensors of a file; return the tensors and table rows that stay fresh.

    `own` is the domain of `network`; an error names `source`.
    """
    description, tensors = read_weights(file)
    stored = _stored_domain(description["domain"])
    if isinstance(own, SupportsWeightsOf) and type(stored) is type(own):
        try:
            own.check_weights_of(stored)
        except ValueError as error:
            raise ValueError(f"--init-from {source}: {error}") from error
    tensors, lacking = match_embedding_rows(network, tensors, _choices(own), _choices(stored))
    unfit = load_matching(network, tensors)
    return unfit + [f"{table} ({name})" for table, names in lacking.items() for name in names]


def _choices(domain: object) -> Choices:
    choices = domain.option_choices() if isinstance(domain, SupportsOptionChoices) else {}
    return {option: tuple(names) for option, names in choices.items()}


def _stored_domain(description: dict[str, Any]) -> object:
    """The domain of a weight file; None if it cannot be rebuilt."""
    try:
        check_model_memory(description)
        return from_config(description, last_recipe_module())
    except (ValueError, TypeError):  # defined in a recipe file, or damaged
        return None
