"""Samples that show themselves in a notebook."""

from __future__ import annotations

import base64
import html
import importlib.util
import io
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

BLOCK_FRAMES = 1 << 16  # of audio that is encoded at once: libsndfile fails on long blocks
MAX_SHOWN = 64  # samples that a notebook shows


class Samples(list[Any]):
    """A list of samples of one domain; in a notebook it shows images, text or songs with audio."""

    def __init__(self, samples: Iterable[Any], domain: Any) -> None:
        super().__init__(samples)
        self.domain = domain

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return Samples(found, self.domain) if isinstance(key, slice) else found

    def __reduce__(self) -> tuple[Any, ...]:
        return Samples, (list(self), self.domain)

    def _repr_html_(self) -> str:
        """Show what the domain's `preview` writes of the first MAX_SHOWN samples."""
        if not self:
            return "<p>no samples</p>"
        with tempfile.TemporaryDirectory() as folder:
            files = self.domain.preview(list(self[:MAX_SHOWN]), Path(folder) / "preview")
            parts = [file_html(file) for file in files]
        more = f"<p>the first {MAX_SHOWN} of {len(self):,}</p>" if len(self) > MAX_SHOWN else ""
        return "".join([*parts, more])


def file_html(file: Path) -> str:
    """Return a file as HTML that needs no other file; empty for a type that pages cannot show."""
    make = SHOWN.get(file.suffix)
    return make(file.read_bytes()) if make else ""


def _image(content: bytes) -> str:
    return f'<img alt="samples" style="max-width:100%" src="{_data_url("image/png", content)}">'


def _audio(content: bytes) -> str:
    type, smaller = _compressed(content)
    return f'<br><audio controls src="{_data_url(type, smaller)}"></audio>'


def _text(content: bytes) -> str:
    style = "white-space:pre-wrap;text-align:left"
    return f'<pre style="{style}">{html.escape(content.decode(errors="replace"))}</pre>'


SHOWN: dict[str, Callable[[bytes], str]] = {".png": _image, ".wav": _audio, ".txt": _text}


def _data_url(type: str, content: bytes) -> str:
    return f"data:{type};base64,{base64.b64encode(content).decode()}"


def _compressed(wave: bytes) -> tuple[str, bytes]:
    """Return the type and the bytes of a WAV file as Ogg Vorbis, about a tenth of its size."""
    if importlib.util.find_spec("soundfile") is None:
        return "audio/wav", wave
    import soundfile

    content = io.BytesIO()
    with soundfile.SoundFile(io.BytesIO(wave)) as source:
        rate, channels = source.samplerate, source.channels
        with soundfile.SoundFile(content, "w", rate, channels, "VORBIS", format="OGG") as target:
            for block in source.blocks(BLOCK_FRAMES, dtype="float32"):
                target.write(block)
    return "audio/ogg", content.getvalue()
