"""What a page shows of samples, whatever their domain is."""

from __future__ import annotations

import mimetypes
import tempfile
from pathlib import Path

from multigan.core.protocols import Domain, Medium, Sample

BINARY = "application/octet-stream"  # of a file whose name does not say what it is


def sample_media(domain: Domain, samples: list[Sample]) -> list[Medium]:
    """One medium of each sample, or one of them all: a domain without `media` shows its preview."""
    own = getattr(domain, "media", None)
    return _previewed(domain, samples) if own is None else own(samples)


def _previewed(domain: Domain, samples: list[Sample]) -> list[Medium]:
    """The files of the domain's preview, by what their names say they are."""
    with tempfile.TemporaryDirectory() as folder:
        files = domain.preview(samples, Path(folder) / "preview")
        return [Medium(mimetypes.guess_type(f.name)[0] or BINARY, f.read_bytes()) for f in files]
