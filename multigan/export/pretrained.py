"""Build a pretrained generator from a run, and its refiner: small weight files and metadata."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save as save_tensors

from multigan.core.refinement import RefinementCard
from multigan.core.rng import keyed_rng
from multigan.runs.directory import RunDirectory
from multigan.runs.provenance import redacted_config, strip_local_paths, train_command
from multigan.storage import pretrained
from multigan.storage.checkpoint_integrity import resolve_weights_file, sha256
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import load, load_data
from multigan.storage.weights import read_weights


def build_pretrained(
    run: str | Path,
    name: str,
    *,
    folder: Path | None = None,
    half: bool | None = None,
    evaluated: bool = True,
    cache: str | Path | None = None,
    sampling: dict[str, Any] | None = None,
) -> Path:
    """Write NAME.safetensors and NAME.json of a run's best generator; return the weight file.

    `half` stores float16, which is loaded as float32; None does so only for files larger than
    MAX_FILE_BYTES. `sampling` are the options of `pretrained.sampling_defaults`. The stored file is
    evaluated on the test split of the run's data. Raises ValueError for weights that are still too
    large, and for a name that is no identifier.
    """
    if not name.isidentifier():
        raise ValueError(f"the name of a pretrained generator must be an identifier; got {name!r}")
    config = RunDirectory(run).read_config()
    weights = resolve_weights_file(Path(run))
    content = _weights_bytes(weights, bool(half))
    if half is None and len(content) > pretrained.MAX_FILE_BYTES:
        half, content = True, _weights_bytes(weights, True)
    _check_size(weights, content)
    metadata = {
        "recipe": redacted_config(config),
        "command": train_command(strip_local_paths(config)),
        "checkpoint": weights.parent.name,
        "stored": "float16" if half else "float32",
        "metrics": _evaluate(content, config, cache) if evaluated else None,
    }
    metadata |= {} if sampling is None else {"sampling": sampling}
    target = pretrained.pretrained_dir() if folder is None else folder
    target.mkdir(parents=True, exist_ok=True)
    write_atomically(target / f"{name}.safetensors", content)
    text = json.dumps(metadata, indent=1, sort_keys=True) + "\n"
    write_atomically(target / f"{name}.json", text.encode())
    return target / f"{name}.safetensors"


def build_pretrained_refiner(file: str | Path, name: str, *, folder: Path | None = None) -> Path:
    """Write refiners/NAME.safetensors, in float16, of a refiner's `file`; return it.

    `multigan refine NAME --out FILE` fits one to the pretrained generator `name`. Raises ValueError
    for an unknown name, for the refiner of another generator, and for one that is too large.
    """
    weights = pretrained.list_pretrained().get(name)
    if weights is None:
        raise ValueError(f"no pretrained generator {name!r}; {pretrained.suggest_pretrained(name)}")
    card = RefinementCard.from_json(read_weights(Path(file))[0].get("card"))
    if card.generator != sha256(weights):
        raise ValueError(f"{file} must be the refiner of {name}; it was fitted to other weights")
    content = _weights_bytes(Path(file), half=True)
    _check_size(file, content)
    target = (pretrained.refiners_dir() if folder is None else folder) / f"{name}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, content)
    return target


def _check_size(file: str | Path, content: bytes) -> None:
    if len(content) > pretrained.MAX_FILE_BYTES:
        raise ValueError(
            f"{file} must take {pretrained.MAX_FILE_BYTES:,} bytes at most; got {len(content):,}"
        )


def _weights_bytes(weights: Path, half: bool) -> bytes:
    """Return the bytes of a weight file, with float16 tensors if `half`."""
    if not half:
        return weights.read_bytes()
    description, tensors = read_weights(weights)
    halved = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    if overflowing := [name for name, tensor in halved.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{weights}: {overflowing[0]} does not fit 16 bits")
    return save_tensors(halved, {"multigan": json.dumps(description, sort_keys=True)})


def _evaluate(content: bytes, config: dict[str, Any], cache: str | Path | None) -> Any:
    """Evaluate a weight file on the test split of the run's data."""
    data = load_data(config).split("test")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "generator.safetensors"
        file.write_bytes(content)
        sampler = load(file)
    table = sampler.domain.evaluate(sampler, data, keyed_rng(0, "evaluate"), cache_dir(cache))
    return json.loads(table.json())
