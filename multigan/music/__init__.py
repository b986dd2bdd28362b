"""The music domain: voices and tracks on a time grid. Importing it imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multigan.core.metric_info import HIGHER, LOWER, MetricInfo
from multigan.core.number_limits import POSITIVE

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "MuseGANDiscriminator": "multigan.music.models.musegan:MuseGANDiscriminator",
    "MuseGANGenerator": "multigan.music.models.musegan:MuseGANGenerator",
    "MusicDiscriminator": "multigan.music.models.discriminator:MusicDiscriminator",
    "MusicGenerator": "multigan.music.models.generator:MusicGenerator",
    "MusicDomain": "multigan.music.domain:MusicDomain",
    "SequenceGenerator": "multigan.music.models.sequence_generator:SequenceGenerator",
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

NUMBER_LIMITS = {  # option -> the smallest and the largest value
    "bars": (1, 1000),
    "tempo": (POSITIVE, 10_000.0),
    "voice_width": (1, 16_384),
}

REQUIREMENTS = {
    "synthesizer": "multigan.music.rendering.audio:check_synthesizer",
    "soundfont": "multigan.music.rendering.audio:check_soundfont",
    "chorales": "multigan.music.datasets.chorales:check_chorales",
}

METRICS = {
    "n_pitch_classes_used*": MetricInfo("distinct pitch classes in a bar"),
    "pitch_class_entropy": MetricInfo("bits of the pitch class frequencies, 0 to 3.585"),
    "scale_consistency": MetricInfo("largest fraction of notes in one major or minor scale"),
    "groove_consistency": MetricInfo("agreement of the onsets of neighboring bars"),
    "qualified_note_rate": MetricInfo("fraction of notes above a minimum length"),
    "notes_per_bar": MetricInfo("notes that begin in a bar"),
    "mean_note_length": MetricInfo("length of a note, grid steps"),
    "mean_abs_interval": MetricInfo("mean absolute melodic interval, semitones"),
    "tonal_distance*": MetricInfo("distance of voices in tonal space"),
    "voice_crossing_rate": MetricInfo("steps at which a voice lies below its lower neighbor"),
    "dissonance_rate*": MetricInfo("steps at which two voices form a second, seventh or tritone"),
    "parallel_motion_rate": MetricInfo("motions in parallel unisons, octaves or fifths"),
    "repeated_note_rate": MetricInfo("onsets on the pitch that sounds already"),
    "empty_bar_rate*": MetricInfo("silent bars"),
    "feature_frechet_distance*": MetricInfo("Fréchet distance of standardized figures", LOWER),
    "excluded_fraction": MetricInfo("windows in which a metric is undefined", LOWER),
    "conditioning_exact_rate": MetricInfo("windows that keep all conditioned cells", HIGHER),
    "melody_sensitivity": MetricInfo("steps that another melody changes"),
    "boundary_*": MetricInfo("the same at the boundaries of windows in long songs"),
    "unique_fraction": MetricInfo("distinct windows"),
    "nn_train_distance": MetricInfo("cells that differ from the nearest training window"),
}


def load(path: str | Path) -> Sampler:
    """Load a trained music generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of music.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="music")
