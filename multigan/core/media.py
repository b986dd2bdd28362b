"""Media of samples for pages, whatever their domain is."""

from __future__ import annotations

import mimetypes
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from multigan.core.protocols import Domain, Generator, Medium, Sample, SupportsMedia

# Of a matplotlib figure: no version, so that the bytes are the same everywhere. A page inverts
# plots in its dark mode, and no photos.
PLOT = "plot"
PLOT_METADATA = {"Software": None, "Description": PLOT}
BINARY = "application/octet-stream"  # of a file without a known suffix
# Types of audio differ between systems, so these are not looked up there.
TYPES = {".png": "image/png", ".wav": "audio/wav", ".mid": "audio/midi", ".txt": "text/plain"}


PIANO_ROLL = "application/json;profile=piano-roll"  # the notes of a song, in beats
SCORED_TEXT = "application/json;profile=scored-text"  # {"given": text, "pieces": [[text, nats]]}


@runtime_checkable
class SupportsScoring(Protocol):
    """A domain whose samples can tell how likely their parts were: makes colors in a report.

    `scoring_options` returns the sampling options that ask a generator for it; none if it cannot.
    """

    def scoring_options(self, generator: Generator) -> Mapping[str, Any]:
        """Sampling options that make samples tell it."""
        ...


@runtime_checkable
class SupportsAudio(Protocol):
    """A domain whose samples sound: makes audio inside a report possible."""

    def audio(self, sample: Sample) -> bytes:
        """One sample as an OGG file."""
        ...


def sample_media(domain: Domain, samples: list[Sample]) -> list[Medium]:
    """One medium of each sample, or one of them all; a domain without `media` shows its preview."""
    if isinstance(domain, SupportsMedia):
        return domain.media(samples)
    with tempfile.TemporaryDirectory() as folder:
        return read_media(domain.preview(samples, Path(folder) / "preview"))


def read_media(files: Sequence[Path]) -> list[Medium]:
    """Return the content of each file, with the MIME type of its suffix."""
    return [Medium(_type_of(file), file.read_bytes()) for file in files]


def _type_of(file: Path) -> str:
    return TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or BINARY


def suffix_of(type: str) -> str:
    """Return a file suffix for a MIME type; empty for an unknown type."""
    suffixes = {known: suffix for suffix, known in TYPES.items()}
    return suffixes.get(type) or mimetypes.guess_extension(type) or ""


def same_samples(first: list[Sample], second: list[Sample]) -> bool:
    """Compare samples one by one; arrays are equal where all their values are."""
    return len(first) == len(second) and all(map(_same, first, second))


def _same(first: Sample, second: Sample) -> bool:
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    return bool(first == second)
