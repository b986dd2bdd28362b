"""Checkpoints on disk: manifests, corruption checks, and the weight file that a path names."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from multigan.storage.files import parse_json
from multigan.storage.pretrained import list_pretrained, suggest_pretrained

MANIFEST = "manifest.json"  # of a checkpoint folder: file name -> SHA-256
GENERATOR_EMA_FILE = "generator_ema.safetensors"
LIKELIHOOD_CHECKPOINT = (
    "likelihood"  # the folder, beside the step checkpoints, of what that stage ended with
)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find_corruption(checkpoint: Path, only: str | None = None) -> str | None:
    """What is wrong with a checkpoint folder (or one file of it), in words; None if it is whole."""
    try:
        sums = parse_json((checkpoint / MANIFEST).read_bytes())
        names = list(sums) if only is None else [only]
        plain = [isinstance(sums[name], str) and Path(name).name == name for name in names]
        if not plain or not all(plain):
            return f"{MANIFEST} is damaged"  # a path would be another file's, or a device's
        for name in names:
            if not (checkpoint / name).is_file():
                return f"{name} is missing"
            if sha256(checkpoint / name) != sums[name]:
                return f"{name} is damaged"
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is damaged"
    return None


def list_checkpoints(run: Path) -> list[Path]:
    """The step checkpoints of a run, newest first, whole or not."""
    found = (run / "checkpoints").glob("step-*")
    return sorted((path for path in found if path.name[5:].isdigit()), reverse=True)


def latest_intact_checkpoint(run: Path, only: str | None = None) -> Path | None:
    """The newest undamaged checkpoint; a warning names each damaged one that is passed over."""
    for checkpoint in list_checkpoints(run):
        wrong = find_corruption(checkpoint, only)
        if wrong is None:
            return checkpoint
        warnings.warn(f"{checkpoint}: {wrong}; the one before it is used", stacklevel=2)
    return None


def _ready_made(path: Path) -> Path:
    """The weight file of the ready-made generator of this name; ValueError if there is none."""
    names = list_pretrained()
    if str(path) in names:
        return names[str(path)]
    nor = f"; nor is it ready-made: {suggest_pretrained(str(path))}" if names else ""
    raise ValueError(f"{path} is neither a run directory nor a weight file{nor}")


def resolve_weights_file(path: Path) -> Path:
    """The weight file that `path` means: itself, or a run's best generator, else its newest.

    Of an exported folder its own; what is neither may be the name of a ready-made generator.
    Raises ValueError where there is none that is whole.
    """
    if path.is_file():
        return path
    if (path / GENERATOR_EMA_FILE).is_file():
        return path / GENERATOR_EMA_FILE
    if not (path / "recipe.json").is_file():
        return _ready_made(path)
    best = path / "checkpoints" / "best"
    if best.is_dir():
        wrong = find_corruption(best, GENERATOR_EMA_FILE)
        if wrong is None:
            return best / GENERATOR_EMA_FILE
        warnings.warn(f"{best}: {wrong}; the newest checkpoint is used", stacklevel=2)
    checkpoint = latest_intact_checkpoint(path, GENERATOR_EMA_FILE)
    if checkpoint is None:
        raise ValueError(f"{path} has no complete checkpoint yet; nothing to sample from")
    return checkpoint / GENERATOR_EMA_FILE
