"""Operations on trees of tensors: nested mappings, tuples and lists with tensors as leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch


def tree_map(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply `function` leaf by leaf to trees of one structure; None stays None."""
    first = trees[0]
    if first is None:
        return None
    if isinstance(first, Mapping):
        return {key: tree_map(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple | list):
        branches = [tree_map(function, *leaves) for leaves in zip(*trees, strict=True)]
        return type(first)(*branches) if hasattr(first, "_fields") else type(first)(branches)
    return function(*trees)


def tree_leaves(tree: Any) -> list[torch.Tensor]:
    """The leaves of a tree in order; none of None."""
    found: list[torch.Tensor] = []
    tree_map(found.append, tree)
    return found


def tree_cat(trees: Iterable[Any]) -> Any:
    """Concatenate trees of one structure along the leading axis, leaf by leaf."""
    return tree_map(lambda *leaves: torch.cat(leaves), *trees)
