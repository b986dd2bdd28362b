"""Make a ready-made generator of a run: one small weight file, and what is known of it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save as save_tensors

from multigan.core.rng import keyed_rng
from multigan.runs.directory import RunDirectory
from multigan.runs.provenance import redacted_config, strip_local_paths, train_command
from multigan.storage.checkpoint_files import resolve_weights_file
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import load, load_data
from multigan.storage.pretrained import MAX_FILE_BYTES, pretrained_dir
from multigan.storage.weights import read_weights


def build_pretrained(
    run: str | Path,
    name: str,
    *,
    folder: Path | None = None,
    half: bool | None = None,
    measured: bool = True,
    cache: str | Path | None = None,
) -> Path:
    """Write NAME.safetensors and NAME.json of a run's best generator; return the weight file.

    `half` stores numbers in 16 bits, which are loaded as float32; None does so only where the file
    would be larger than MAX_FILE_BYTES else. What is measured, on the test split of the run's data, is
    the stored file itself. Raises ValueError for a run that is too large even so, or a name that is
    no plain word.
    """
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name of a ready-made generator; wanted a plain word")
    description = RunDirectory(run).read_config()
    weights = resolve_weights_file(Path(run))
    content = _stored(weights, bool(half))
    if half is None and len(content) > MAX_FILE_BYTES:
        half, content = True, _stored(weights, True)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{weights} takes {len(content):,} bytes; wanted {MAX_FILE_BYTES:,} at most")
    about = {
        "recipe": redacted_config(description),
        "command": train_command(strip_local_paths(description)),
        "checkpoint": weights.parent.name,
        "stored": "float16" if half else "float32",
        "metrics": _measured(content, description, cache) if measured else None,
    }
    place = pretrained_dir() if folder is None else folder
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / f"{name}.safetensors", content)
    text = json.dumps(about, indent=1, sort_keys=True) + "\n"
    write_atomically(place / f"{name}.json", text.encode())
    return place / f"{name}.safetensors"


def _stored(weights: Path, half: bool) -> bytes:
    """The bytes of a weight file, its floating-point numbers perhaps in 16 bits."""
    if not half:
        return weights.read_bytes()
    description, tensors = read_weights(weights)
    halved = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    if wrong := [name for name, tensor in halved.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{weights}: {wrong[0]} does not fit 16 bits")
    return save_tensors(halved, {"multigan": json.dumps(description, sort_keys=True)})


def _measured(content: bytes, description: dict[str, Any], cache: str | Path | None) -> Any:
    """What `evaluate` says of a weight file against the test split of the run's data."""
    data = load_data(description).split("test")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "generator.safetensors"
        file.write_bytes(content)
        sampler = load(file)
    table = sampler.domain.evaluate(sampler, data, keyed_rng(0, "evaluate"), cache_dir(cache))
    return json.loads(table.json())
