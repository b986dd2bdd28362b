"""Checkpoints on disk: manifests, corruption checks, and the weight file that a path names."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from multigan.storage.files import parse_json
from multigan.storage.pretrained import closest, ready_names

MANIFEST = "manifest.json"  # of a checkpoint folder: file name -> SHA-256
SAMPLED = "generator_ema.safetensors"
LIKELIHOOD = "likelihood"  # the folder, beside the step checkpoints, of what that stage ended with


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def damage(checkpoint: Path, only: str | None = None) -> str | None:
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


def checkpoints_of(run: Path) -> list[Path]:
    """The step checkpoints of a run, newest first, whole or not."""
    found = (run / "checkpoints").glob("step-*")
    return sorted((path for path in found if path.name[5:].isdigit()), reverse=True)


def newest_whole(run: Path, only: str | None = None) -> Path | None:
    """The newest undamaged checkpoint; a warning names each damaged one that is passed over."""
    for checkpoint in checkpoints_of(run):
        wrong = damage(checkpoint, only)
        if wrong is None:
            return checkpoint
        warnings.warn(f"{checkpoint}: {wrong}; the one before it is used", stacklevel=2)
    return None


def _ready_made(path: Path) -> Path:
    """The weight file of the ready-made generator of this name; ValueError if there is none."""
    names = ready_names()
    if str(path) in names:
        return names[str(path)]
    nor = f"; nor is it ready-made: {closest(str(path))}" if names else ""
    raise ValueError(f"{path} is neither a run directory nor a weight file{nor}")


def weights_of(path: Path) -> Path:
    """The weight file that `path` means: itself, or a run's best generator, else its newest.

    Of an exported folder its own; what is neither may be the name of a ready-made generator.
    Raises ValueError where there is none that is whole.
    """
    if path.is_file():
        return path
    if (path / SAMPLED).is_file():
        return path / SAMPLED
    if not (path / "recipe.json").is_file():
        return _ready_made(path)
    best = path / "checkpoints" / "best"
    if best.is_dir():
        wrong = damage(best, SAMPLED)
        if wrong is None:
            return best / SAMPLED
        warnings.warn(f"{best}: {wrong}; the newest checkpoint is used", stacklevel=2)
    checkpoint = newest_whole(path, SAMPLED)
    if checkpoint is None:
        raise ValueError(f"{path} has no complete checkpoint yet; nothing to sample from")
    return checkpoint / SAMPLED
