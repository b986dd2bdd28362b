"""The music domain: voices and tracks on a time grid. Importing it imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multigan.core.metric_info import HIGHER, LOWER, MetricInfo
from multigan.core.number_limits import POSITIVE

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "MuseGANDiscriminator": "multigan.benchmarks.musegan:MuseGANDiscriminator",
    "MuseGANGenerator": "multigan.benchmarks.musegan:MuseGANGenerator",
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
    "polyphony": MetricInfo("pitches that sound together, where one sounds"),
    "onset_steps_per_bar": MetricInfo("steps of a bar at which a note begins"),
    "notes_per_onset_step": MetricInfo("notes that begin together"),
    "pitch_range": MetricInfo("semitones from the lowest to the highest pitch"),
    "mean_pitch": MetricInfo("mean MIDI pitch of the notes"),
    "sounding_length": MetricInfo("mean length of a note, sixteenths"),
    "semitone_clash_rate": MetricInfo("pairs that sound together one semitone apart"),
    "on_beat_rate": MetricInfo("notes that begin on a beat"),
    "one_step_note_rate": MetricInfo("notes that last a single step"),
    "same_cells_rate_*": MetricInfo("onsets that a bar shares with the bar so many bars before"),
    "chroma_similarity_*": MetricInfo("cosine of the pitch classes of a bar and an earlier one"),
    "melody_tonal_distance": MetricInfo("distance of melody and accompaniment in tonal space"),
    "melody_pitch_accompanied_rate": MetricInfo(
        "steps whose pitch class the accompaniment plays in the same beat"
    ),
    "melody_clash_rate": MetricInfo("steps with a semitone between melody and accompaniment"),
    "related_halves_rate": MetricInfo("windows whose halves are in one key or neighboring ones"),
    "stable_ending_rate": MetricInfo("windows that end in one major or minor triad"),
    "windows": MetricInfo("number of windows that were measured", "as large as the data allows"),
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
