"""Networks that start from the weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from multigan.engine.trainer import AdversarialTrainer
from multigan.weights import (
    load_what_fits,
    newest_whole,
    read_weights,
    sha256,
    unique_state,
    weights_of,
)


def initialise(trainer: AdversarialTrainer, source: str) -> dict[str, Any]:
    """Start G, its average and (from a run) D from other weights; say from where and what is fresh.

    Raises ValueError if nothing of G fits.
    """
    weights = weights_of(Path(source))
    tensors = read_weights(weights)[1]
    unfit = load_what_fits(trainer.generator, tensors)
    if len(unfit) == len(unique_state(trainer.generator)):
        raise ValueError(f"--init {source}: nothing of it fits this generator; is it of another?")
    load_what_fits(trainer.ema.module, tensors)
    files, fresh = [weights], [f"generator.{name}" for name in unfit]
    beside = newest_whole(Path(source)) if Path(source).is_dir() else None
    if beside is not None:
        files.append(beside / "discriminator.safetensors")
        unfit = load_what_fits(trainer.discriminator, read_weights(files[-1])[1])
        fresh += [f"discriminator.{name}" for name in unfit]
    sums = {str(file.absolute()): sha256(file) for file in files}
    is_path = Path(source).exists()  # else the name of a ready-made generator
    place = str(Path(source).absolute()) if is_path else source
    return {"source": place, "files": sums, "fresh": fresh}
