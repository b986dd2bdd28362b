"""The domain of arrays: samples without a meaning of their own, as numbers in memory.

Plain data become datasets of this domain: arrays, pairs of arrays, torch datasets and tables of the
package datasets. Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multigan.core.metric_info import LOWER, MetricInfo

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "ArrayDomain": "multigan.arrays.domain:ArrayDomain",
    "ArraySource": "multigan.arrays.datasets.sources:ArraySource",
    "MLP": "multigan.arrays.models:MLP",
}
COMMANDS: dict[str, str] = {}
METRICS = {
    "frechet_distance": MetricInfo("distance between Gaussians of both sets", LOWER),
    "kernel_distance": MetricInfo("squared MMD, polynomial kernel of KID", LOWER),
    "precision": MetricInfo("fraction of samples within the manifold of real ones"),
    "recall": MetricInfo("fraction of real samples within the manifold of generated ones"),
    "density": MetricInfo("real neighborhoods that hold a sample, per sample"),
    "coverage": MetricInfo("fraction of real samples with a generated one nearby"),
    "intra_class_std_ratio": MetricInfo("deviation within a class over that of real data", "1"),
    "nn_distance_ratio": MetricInfo(
        "distance to the nearest training sample over that of held-out ones; 0 is copying", "1"
    ),
}
ADAPTERS = {"array": "multigan.arrays.datasets.adapt:adapt"}


def load(path: str | Path) -> Sampler:
    """Load a trained generator of arrays: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of arrays.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="arrays")
