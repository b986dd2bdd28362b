"""The domain of polyphonic music: voices and tracks on a grid of sixteenths.

Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.contract import Sampler

PARTS = {
    "MuseGANDiscriminator": "multigan.music.musegan:MuseGANDiscriminator",
    "MuseGANGenerator": "multigan.music.musegan:MuseGANGenerator",
    "MusicDiscriminator": "multigan.music.discriminators:MusicDiscriminator",
    "MusicGenerator": "multigan.music.generators:MusicGenerator",
    "MusicDomain": "multigan.music.domain:MusicDomain",
    "SongWindows": "multigan.music.data:SongWindows",
    "Voice": "multigan.music.roll:Voice",
}

COMMANDS = {
    "import": "multigan.music.folder:import_folder",
    "reference": "multigan.music.reference:reference",
    "render": "multigan.music.render:render",
    "sound": "multigan.music.spectrum:sound",
}

REQUIREMENTS = {
    "synthesizer": "multigan.music.needs:synthesizer",
    "soundfont": "multigan.music.needs:soundfont",
    "chorales": "multigan.music.needs:chorales",
}


def load(path: str | Path) -> Sampler:
    """Load a trained music generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of music.
    """
    from multigan.sampler import load as load_sampler

    return load_sampler(path, domain="music")
