"""Weight files: safetensors with a JSON description of the network.

The description stands under one metadata key, `multigan`, as JSON with sorted keys and nothing in
it that changes from run to run, so equal weights make equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from multigan.storage.files import check_format, parse_json

FORMAT = 2
SPECTRAL_NORM_WEIGHT = "parametrizations.weight.original"  # a layer's weight under spectral norm
Choices = Mapping[str, tuple[str, ...]]  # by the name of a wish, what it may be: a domain's


def unique_state(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors on the CPU by name; a tied one under its first name only."""
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
    save_file(unique_state(network), path, metadata={"multigan": text})


def read_description(path: Path) -> dict[str, Any]:
    """The description that a weight file carries, without its tensors.

    Raises ValueError for a file that is damaged or was not written by multigan.
    """
    return _read(path, lambda file: {})[0]


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors of a weight file.

    Raises ValueError for a file that is damaged or was not written by multigan.
    """
    return _read(path, lambda file: {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


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
        raise ValueError(f"{path} is no whole safetensors file ({error})") from error
    if not isinstance(description, dict):
        raise ValueError(f"{path} carries no description of multigan's; was it exported by it?")
    check_format(path, description.get("format"), FORMAT)
    domain = description.get("domain")
    if not isinstance(domain, dict) or not isinstance(domain.get("component"), str):
        raise ValueError(f"{path} is damaged: it names no domain")
    return description, tensors


def load_state(network: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load every tensor of a weight file; ValueError, in one line, where the file does not fit."""
    own = unique_state(network)
    misfits = sorted(set(own) ^ set(tensors)) + [
        name for name in own if name in tensors and own[name].shape != tensors[name].shape
    ]
    if misfits:
        more = ", ..." if len(misfits) > 3 else ""
        raise ValueError(
            f"{source} does not fit its network at {', '.join(misfits[:3])}{more}; "
            "was it written by another version?"
        )
    network.load_state_dict(dict(tensors), strict=False)  # strict would ask for tied names


def load_matching(network: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Load the tensors whose name and shape fit; return the names of the network that did not."""
    own = unique_state(network)
    fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def match_embedding_rows(
    network: nn.Module, tensors: Mapping[str, Tensor], own: Choices, given: Choices
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """`tensors` with each choice's row where `network` has it, and the choices they have none of.

    `own` are the choices that `network` knows, `given` those of `tensors`, by the wish that they
    answer. A table is an embedding that is called like the wish and has a row for each choice. What
    has no row keeps that of `network`, and is named under its table; a table of which no row is
    known is left out. Where the choices are the same in the same order, nothing is changed.
    """
    state, moved, lacking = unique_state(network), dict(tensors), {}
    for table, layer in network.named_modules():
        wish = table.rpartition(".")[2]
        names, before = own.get(wish, ()), given.get(wish, ())
        is_table = isinstance(layer, nn.Embedding) and layer.num_embeddings == len(names)
        if not is_table or names == before:
            continue
        for name in (
            {f"{table}.weight", f"{table}.{SPECTRAL_NORM_WEIGHT}"} & state.keys() & moved.keys()
        ):
            rows = _moved(moved.pop(name), before, state[name], names)
            if rows is not None:
                moved[name] = rows
                lacking[table] = [choice for choice in names if choice not in before]
    return moved, lacking


def _moved(
    found: Tensor, before: Sequence[str], fresh: Tensor, names: Sequence[str]
) -> Tensor | None:
    """`fresh` with the rows of `found` that it has names for; None if none is known, or fits."""
    known = [name for name in names if name in before]
    if not known or found.shape != (len(before), *fresh.shape[1:]):
        return None
    rows = fresh.clone()
    for name in known:
        rows[names.index(name)] = found[before.index(name)]
    return rows
