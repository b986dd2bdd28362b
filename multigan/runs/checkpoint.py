"""Checkpoints: written atomically, with checksums, and loaded without executing code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from multigan.storage.checkpoint_integrity import (
    GENERATOR_EMA_FILE,
    MANIFEST,
    latest_intact_checkpoint,
    list_checkpoints,
    sha256,
)
from multigan.storage.files import fsync_dir
from multigan.storage.weights import load_state, read_weights, save_weights

KEEP_LAST = 3  # step checkpoints
STATE = "train_state.pt"


def save_checkpoint(
    folder: Path,
    networks: Mapping[str, nn.Module],
    descriptions: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint: a weight file per network, the training state, and their checksums.

    `descriptions` are stored in the weight files, by network. The files are written to a hidden
    temporary folder, flushed, then renamed to `folder`, which is replaced if it exists.
    Raises OSError for a full disk.
    """
    temporary = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for name, network in networks.items():
            save_weights(temporary / f"{name}.safetensors", network, descriptions[name])
        if state is not None:
            torch.save(dict(state), temporary / STATE)
        sums = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps(sums, indent=1))
        for path in temporary.iterdir():
            _flush(path)
        fsync_dir(temporary)
        _replace_folder(temporary, folder)
    except (
        SafetensorError,
        RuntimeError,
    ) as error:  # raised by torch and safetensors for failed writes
        raise OSError(f"{folder} could not be written; is the disk full? ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _replace_folder(source: Path, target: Path) -> None:
    """Rename `source` to `target`; an existing folder is renamed first and deleted last."""
    aside = target.parent / f".{target.name}.old"
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(target, aside)
    os.rename(source, target)
    fsync_dir(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def clean_up(checkpoints: Path) -> None:
    """Delete unfinished checkpoints; restore one whose replacement was interrupted."""
    for aside in checkpoints.glob(".*.old"):
        target = checkpoints / aside.name[1:].removesuffix(".old")
        if not target.exists():
            os.rename(aside, target)
    for leftover in (*checkpoints.glob(".*.tmp"), *checkpoints.glob(".*.old")):
        shutil.rmtree(leftover, ignore_errors=True)


def prune(run: Path) -> None:
    """Delete all but the last KEEP_LAST step checkpoints."""
    for old in list_checkpoints(run)[KEEP_LAST:]:
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(run: Path, networks: Mapping[str, nn.Module]) -> dict[str, Any] | None:
    """Load the newest intact checkpoint into the networks; return its state, or None."""
    checkpoint = latest_intact_checkpoint(run)
    if checkpoint is None:
        return None
    for name, network in networks.items():
        file = checkpoint / f"{name}.safetensors"
        load_state(network, read_weights(file)[1], file)
    return load_training_state(checkpoint / STATE)


def stored_bytes(run: Path) -> int:
    """Return the size on disk of the largest weight file of the run's checkpoints."""
    files = [file for folder in list_checkpoints(run) for file in folder.glob("*.safetensors")]
    sizes = [file.stat() for file in files if file.is_file()]
    return max((min(s.st_size, 512 * s.st_blocks) for s in sizes), default=0)


def load_training_state(file: Path) -> dict[str, Any]:
    """Read a train_state.pt: tensors, numbers, strings, lists and dicts.

    Raises ValueError for anything else, which is not executed.
    """
    with file.open("rb") as stream:
        try:
            state = torch.load(stream, map_location="cpu", weights_only=True)
            if not isinstance(state, dict):
                raise TypeError(f"a {type(state).__name__}")
        except Exception as error:  # torch raises arbitrary exceptions for damaged files
            text = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{file} must hold a dict of tensors and plain values; got {text}"
            ) from error
    return state


def save_generator(run: Path, name: str, ema: nn.Module, description: Any) -> None:
    """Save the EMA generator as a checkpoint named "best" or "likelihood"."""
    network = GENERATOR_EMA_FILE.removesuffix(".safetensors")
    save_checkpoint(run / "checkpoints" / name, {network: ema}, {network: description})
