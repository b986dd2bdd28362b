"""Random streams that are pure functions of a key, so that resuming and sharding are exact."""

from __future__ import annotations

import hashlib

import torch


def keyed_rng(*key: int | str) -> torch.Generator:
    """A CPU generator that depends on `key` only: (seed, purpose, step, ...).

    Different keys give independent streams (the seed is a BLAKE2 hash of the key).
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
