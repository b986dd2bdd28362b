"""Checkpoints: whole or absent, checksummed, opened without running code."""

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

from multigan.storage.files import fsync_dir
from multigan.storage.checkpoint_files import (MANIFEST, GENERATOR_EMA_FILE, list_checkpoints, latest_intact_checkpoint, sha256)
from multigan.storage.weights import load_state, read_weights, save_weights

KEEP_LAST = 3
STATE = "train_state.pt"


def save_checkpoint(
    folder: Path,
    networks: Mapping[str, nn.Module],
    descriptions: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
) -> None:
    """Write `folder` as a whole: one weight file per network, the state, and their checksums.

    Everything is written under a temporary name that starts with a dot, flushed, then renamed; an
    existing folder of that name is replaced.
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
    except (SafetensorError, RuntimeError) as error:  # so their writers say that a write failed
        raise OSError(f"{folder} could not be written; is the disk full? ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _replace_folder(source: Path, target: Path) -> None:
    """Rename onto `target`; an old folder steps aside first and is deleted last."""
    aside = target.parent / f".{target.name}.old"
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(target, aside)
    os.rename(source, target)
    fsync_dir(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def tidy(checkpoints: Path) -> None:
    """Finish or clear what an interrupted write left: half-written folders, a best put aside."""
    for aside in checkpoints.glob(".*.old"):
        target = checkpoints / aside.name[1:].removesuffix(".old")
        if not target.exists():
            os.rename(aside, target)
    for leftover in (*checkpoints.glob(".*.tmp"), *checkpoints.glob(".*.old")):
        shutil.rmtree(leftover, ignore_errors=True)


def prune(run: Path) -> None:
    """Delete all but the last few step checkpoints."""
    for old in list_checkpoints(run)[KEEP_LAST:]:
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(run: Path, networks: Mapping[str, nn.Module]) -> dict[str, Any] | None:
    """Load the newest whole checkpoint into the networks; return its state, None without one."""
    checkpoint = latest_intact_checkpoint(run)
    if checkpoint is None:
        return None
    for name, network in networks.items():
        file = checkpoint / f"{name}.safetensors"
        load_state(network, read_weights(file)[1], file)
    return load_training_state(checkpoint / STATE)


def stored_bytes(run: Path) -> int:
    """What the largest weight file of the run's checkpoints takes of the disk."""
    files = [file for folder in list_checkpoints(run) for file in folder.glob("*.safetensors")]
    found = [file.stat() for file in files if file.is_file()]
    return max((min(it.st_size, 512 * it.st_blocks) for it in found), default=0)


def load_training_state(file: Path) -> dict[str, Any]:
    """What a train_state.pt holds: tensors, numbers, strings, lists and dicts.

    Raises ValueError for anything else; whatever it is, it is not executed.
    """
    with file.open("rb") as stream:
        try:
            state = torch.load(stream, map_location="cpu", weights_only=True)
            if not isinstance(state, dict):
                raise TypeError(f"a {type(state).__name__}")
        except Exception as error:  # torch meets damage in as many ways as there are
            raise ValueError(f"{file} holds more than tensors and numbers, or less") from error
    return state


def save_generator(run: Path, kept_as: str, ema: nn.Module, description: Any) -> None:
    """Keep this generator beside the step checkpoints: as "best", or as "likelihood"."""
    name = GENERATOR_EMA_FILE.removesuffix(".safetensors")
    save_checkpoint(run / "checkpoints" / kept_as, {name: ema}, {name: description})
