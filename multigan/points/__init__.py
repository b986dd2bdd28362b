"""The domain of 2-D toy data: rings and grids of Gaussians, for seeing what an engine does.

The smallest complete domain, and the example to copy for a new one. Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multigan.core.metric_info import HIGHER, LOWER, MetricInfo

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "GaussianMixture": "multigan.points.dataset:GaussianMixture",
    "MLPDiscriminator": "multigan.points.models:MLPDiscriminator",
    "MLPGenerator": "multigan.points.models:MLPGenerator",
    "PointsDomain": "multigan.points.domain:PointsDomain",
}
COMMANDS: dict[str, str] = {}
METRICS = {
    "modes": MetricInfo("modes with a point within 3 standard deviations", HIGHER),
    "high_quality_fraction": MetricInfo("points within 3 standard deviations of a mode"),
    "reverse_kl": MetricInfo("divergence of the mode frequencies from uniform, nats", LOWER),
    "total_variation": MetricInfo("distance of the frequencies of modes and the rest", LOWER),
    "mode_std_ratio": MetricInfo("standard deviation within a mode over the true one", "1"),
    "min_mode_fraction": MetricInfo("frequency of the rarest mode times the modes", "1"),
}
NUMBER_LIMITS = {"fourier_octaves": (0, 30)}


def load(path: str | Path) -> Sampler:
    """Load a trained point generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of points.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="points")
