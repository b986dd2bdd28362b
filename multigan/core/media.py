"""Media of samples for pages, whatever their domain is."""

from __future__ import annotations

import mimetypes
import tempfile
from pathlib import Path

import numpy as np

from multigan.core.protocols import Domain, Medium, Sample, SupportsMedia

BINARY = "application/octet-stream"  # of a file without a known suffix


def sample_media(domain: Domain, samples: list[Sample]) -> list[Medium]:
    """One medium of each sample, or one of them all; a domain without `media` shows its preview."""
    if isinstance(domain, SupportsMedia):
        return domain.media(samples)
    with tempfile.TemporaryDirectory() as folder:
        files = domain.preview(samples, Path(folder) / "preview")
        return [Medium(mimetypes.guess_type(f.name)[0] or BINARY, f.read_bytes()) for f in files]


def same_samples(first: list[Sample], second: list[Sample]) -> bool:
    """Compare samples one by one; arrays are equal where all their values are."""
    return len(first) == len(second) and all(map(_same, first, second))


def _same(first: Sample, second: Sample) -> bool:
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    return bool(first == second)
