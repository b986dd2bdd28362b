"""The music domain: voices and tracks on a time grid. Importing it imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "MuseGANDiscriminator": "multigan.music.models.musegan:MuseGANDiscriminator",
    "MuseGANGenerator": "multigan.music.models.musegan:MuseGANGenerator",
    "MusicDiscriminator": "multigan.music.models.discriminator:MusicDiscriminator",
    "MusicGenerator": "multigan.music.models.generator:MusicGenerator",
    "MusicDomain": "multigan.music.domain:MusicDomain",
    "SongWindows": "multigan.music.datasets.song_windows:SongWindowDataset",
    "Voice": "multigan.music.representations.voices:Voice",
}

COMMANDS = {
    "import": "multigan.music.datasets.midi_folder:import_midi_folder",
    "inspect": "multigan.music.datasets.midi_folder:inspect_songs",
    "baseline-metrics": "multigan.music.commands:jsb_reference",
    "render": "multigan.music.commands:render_songs",
    "spectrogram": "multigan.music.rendering.mel_spectrogram:compare_spectrograms",
}

REQUIREMENTS = {
    "synthesizer": "multigan.music.rendering.audio:check_synthesizer",
    "soundfont": "multigan.music.rendering.audio:check_soundfont",
    "chorales": "multigan.music.datasets.chorales:check_chorales",
}


def load(path: str | Path) -> Sampler:
    """Load a trained music generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of music.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="music")
