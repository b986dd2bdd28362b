"""Checkpoints on disk: manifests, corruption checks, and the weight file of a path."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from multigan.storage import hub
from multigan.storage.files import parse_json
from multigan.storage.pretrained import list_pretrained, suggest_pretrained

MANIFEST = "manifest.json"  # of a checkpoint folder: file name -> SHA-256
GENERATOR_EMA_FILE = "generator_ema.safetensors"
LIKELIHOOD_CHECKPOINT = "likelihood"  # the folder of the generator after likelihood pretraining


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find_corruption(checkpoint: Path, only: str | None = None) -> str | None:
    """A message about the damage of a checkpoint folder, or of one file; None if it is intact."""
    try:
        sums = parse_json((checkpoint / MANIFEST).read_bytes())
        names = list(sums) if only is None else [only]
        plain = [isinstance(sums[name], str) and Path(name).name == name for name in names]
        if not plain or not all(plain):
            return f"{MANIFEST} is damaged"  # a path would reach another file, or a device
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
    """The step checkpoints of a run, newest first, intact or not."""
    found = (run / "checkpoints").glob("step-*")
    return sorted((path for path in found if path.name[5:].isdigit()), reverse=True)


def latest_intact_checkpoint(run: Path, only: str | None = None) -> Path | None:
    """The newest intact checkpoint, or None; a warning names each damaged one that is skipped."""
    for checkpoint in list_checkpoints(run):
        corruption = find_corruption(checkpoint, only)
        if corruption is None:
            return checkpoint
        warnings.warn(f"{checkpoint}: {corruption}; the one before it is used", stacklevel=2)
    return None


def _pretrained_file(path: Path) -> Path:
    """The weight file of the pretrained generator of this name, or ValueError."""
    names = list_pretrained()
    if str(path) in names:
        return names[str(path)]
    hint = f", or the name of a pretrained generator ({suggest_pretrained(str(path))})"
    raise ValueError(f"{path} must be a run directory or a weight file{hint if names else ''}")


def resolve_weights_file(path: Path) -> Path:
    """The weight file of a path: the file itself, or the best (else newest) generator of a run.

    `path` may also be an exported folder, the name of a pretrained generator, or the address
    `hf://user/name` of a model on the Hub, which is downloaded.
    Raises ValueError if there is no intact file.
    """
    if model := hub.parse_address(path):
        return hub.download(model, GENERATOR_EMA_FILE)
    if path.is_file():
        return path
    if (path / GENERATOR_EMA_FILE).is_file():
        return path / GENERATOR_EMA_FILE
    if not (path / "recipe.json").is_file():
        return _pretrained_file(path)
    best = path / "checkpoints" / "best"
    if best.is_dir():
        corruption = find_corruption(best, GENERATOR_EMA_FILE)
        if corruption is None:
            return best / GENERATOR_EMA_FILE
        warnings.warn(f"{best}: {corruption}; the newest checkpoint is used", stacklevel=2)
    checkpoint = latest_intact_checkpoint(path, GENERATOR_EMA_FILE)
    if checkpoint is None:
        raise ValueError(f"{path} has no complete checkpoint yet; nothing to sample from")
    return checkpoint / GENERATOR_EMA_FILE
