"""Weight files: safetensors with a JSON description of the network.

The description is JSON under one metadata key, `multigan`, with sorted keys and without times or
paths: equal weights make equal bytes.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor, nn

from multigan.storage.files import check_format, parse_json

FORMAT = 2
MAX_NAME_CHARACTERS = 80  # of a tensor, in messages
SAMPLING = "sampling"  # in a description: the options that samples are drawn with by default
SPECTRAL_NORM_WEIGHT = "parametrizations.weight.original"  # a layer's weight under spectral norm
Choices = Mapping[str, tuple[str, ...]]  # sampling option -> its possible values


def unique_state(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors on the CPU by name; a tied tensor under its first name only."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in network.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor.detach().cpu().contiguous()
    return tensors


def save_weights(path: Path, network: nn.Module, description: Mapping[str, Any]) -> None:
    """Write the network's tensors and its description. Not atomic: the caller renames."""
    text = json.dumps({"format": FORMAT, **description}, sort_keys=True)
    save_tensors(path, unique_state(network), {"multigan": text})


def weights_with_sampling(source: Path, sampling: Mapping[str, Any]) -> bytes:
    """The bytes of a weight file with sampling options in its description; its own without any."""
    if not sampling:
        return source.read_bytes()
    description, tensors = read_weights(source)
    text = json.dumps(description | {SAMPLING: dict(sampling)}, sort_keys=True)
    return bytes(save(tensors, {"multigan": text}))


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file with the permissions of any new file: the library sets its own."""
    with path.open("wb") as file:
        mode = os.fstat(file.fileno()).st_mode
    save_file(tensors, path, metadata=metadata)
    path.chmod(stat.S_IMODE(mode))


def read_description(path: Path) -> dict[str, Any]:
    """The description that a weight file carries, without its tensors.

    Raises ValueError for a file that is damaged or was not written by multigan.
    """
    return _read(path, lambda file: {})[0]


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors of a weight file.

    Raises ValueError for a file that is damaged or was not written by multigan, or holds a tensor
    with a value that is not finite.
    """
    found = _read(path, lambda file: {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    if broken := [name for name, tensor in found[1].items() if not _is_finite(tensor)]:
        raise ValueError(
            f"{path} must hold finite weights; got NaN or infinity in {_listed(broken)}: "
            "use an earlier checkpoint"
        )
    return found


def _is_finite(tensor: Tensor) -> bool:
    """Check all values; those of 8-bit types, which torch cannot check, as float32."""
    if tensor.is_floating_point() and tensor.element_size() == 1:
        tensor = tensor.float()
    return bool(tensor.isfinite().all())


def _listed(names: Sequence[str]) -> str:
    shown = [
        n if len(n) <= MAX_NAME_CHARACTERS else f"{n[:MAX_NAME_CHARACTERS]}..." for n in names[:3]
    ]
    return ", ".join(shown) + (", ..." if len(names) > 3 else "")


def _read(
    path: Path, tensors_of: Callable[[Any], dict[str, Tensor]]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("multigan")
            tensors = tensors_of(file)
        description = None if text is None else parse_json(text)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} must be an intact safetensors file; got {error}") from error
    if not isinstance(description, dict):
        raise ValueError(f"{path} must carry a description by multigan; was it written by it?")
    check_format(path, description.get("format"), FORMAT)
    domain = description.get("domain")
    if not isinstance(domain, dict) or not isinstance(domain.get("component"), str):
        raise ValueError(f"{path} is damaged: its description names no domain")
    return description, tensors


def load_state(network: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load every tensor of a weight file.

    Raises ValueError if names or shapes do not match, or numbers of another kind are stored than
    the network has: integers in the place of floating-point numbers.
    """
    own = unique_state(network)
    mismatches = sorted(set(own) ^ set(tensors)) + [
        name for name in own if name in tensors and not _fits(own[name], tensors[name])
    ]
    if mismatches:
        raise ValueError(
            f"{source} does not fit its network at {_listed(mismatches)}; "
            "was it written by another version?"
        )
    network.load_state_dict(dict(tensors), strict=False)  # strict needs tied names too


def load_matching(network: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Load the tensors whose name, shape and kind match; return the other names of the network."""
    own = unique_state(network)
    matching = {k: v for k, v in tensors.items() if k in own and _fits(own[k], v)}
    network.load_state_dict(matching, strict=False)
    return [name for name in own if name not in matching]


def _fits(own: Tensor, stored: Tensor) -> bool:
    """Check the shape and the kind of number; precisions may differ."""
    kinds = [(t.is_floating_point(), t.is_complex(), t.dtype == torch.bool) for t in (own, stored)]
    return own.shape == stored.shape and kinds[0] == kinds[1]


def match_embedding_rows(
    network: nn.Module, tensors: Mapping[str, Tensor], own: Choices, stored: Choices
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Reorder the rows of embedding tables in `tensors` to the choices of `network`.

    `own` are the choices of `network`, `stored` those of `tensors`, by sampling option. A table is
    an embedding with the name of the option and a row for each choice. Rows without a stored
    counterpart keep the values of `network`; a table without any is removed. Equal choices in
    equal order change nothing.

    Returns the tensors, and the choices without a stored row by table.
    """
    state, moved = unique_state(network), dict(tensors)
    missing: dict[str, list[str]] = {}
    for table, layer in network.named_modules():
        option = table.rpartition(".")[2]
        names, before = own.get(option, ()), stored.get(option, ())
        is_table = isinstance(layer, nn.Embedding) and layer.num_embeddings == len(names)
        if not is_table or names == before:
            continue
        for name in (
            {f"{table}.weight", f"{table}.{SPECTRAL_NORM_WEIGHT}"} & state.keys() & moved.keys()
        ):
            rows = _reordered(moved.pop(name), before, state[name], names)
            if rows is not None:
                moved[name] = rows
                missing[table] = [choice for choice in names if choice not in before]
    return moved, missing


def _reordered(
    found: Tensor, before: Sequence[str], fresh: Tensor, names: Sequence[str]
) -> Tensor | None:
    """`fresh` with the rows of `found` of the same names; None without any."""
    known = [name for name in names if name in before]
    if not known or found.shape != (len(before), *fresh.shape[1:]):
        return None
    rows = fresh.clone()
    for name in known:
        rows[names.index(name)] = found[before.index(name)]
    return rows
