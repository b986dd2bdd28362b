"""The domain of arrays: samples without a meaning of their own, as numbers in memory.

Plain data become datasets of this domain: arrays, pairs of arrays, torch datasets and tables of the
package datasets. Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "ArrayDomain": "multigan.arrays.domain:ArrayDomain",
    "ArraySource": "multigan.arrays.datasets.sources:ArraySource",
    "MLP": "multigan.arrays.models:MLP",
}
COMMANDS: dict[str, str] = {}
ADAPTERS = {"array": "multigan.arrays.datasets.adapt:adapt"}


def load(path: str | Path) -> Sampler:
    """Load a trained generator of arrays: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of arrays.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="arrays")
