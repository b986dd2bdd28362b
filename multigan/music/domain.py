"""The music domain: sample, decode, preview, write and evaluate songs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from multigan.core.data_comparison import NearestItems
from multigan.core.media import PIANO_ROLL
from multigan.core.option_controls import Range, Several
from multigan.core.protocols import Dataset, Generator, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.music.formats.midi import read_midi, write_midi
from multigan.music.formats.song import TICKS_PER_QUARTER, CompletedSong, Song, concatenate
from multigan.music.metrics import evaluation
from multigan.music.metrics.nearest_windows import nearest_windows
from multigan.music.rendering import audio, pianoroll_json, pianoroll_plot
from multigan.music.rendering.song_files import write_song_files
from multigan.music.representations.conditioning import SupportsSongPlan
from multigan.music.representations.pianoroll import from_pianoroll, to_pianoroll
from multigan.music.representations.swing import MAX_SWING, STRAIGHT
from multigan.music.representations.tensors import decode, encode
from multigan.music.sampling.options import SamplingOptions, SamplingPlan, plan_sampling
from multigan.music.sampling.performance import read_performance
from multigan.music.sampling.sliding_window import sample_long
from multigan.music.spec import MusicSpec

PREVIEW_SONGS, PREVIEW_COLUMNS = 16, 4  # songs in a preview, and columns of its image
AUDIO_SONGS = 4  # songs of a preview in its WAV and MIDI files
MAX_BARS_ON_A_PAGE, TEMPOS_BPM = 64, (40.0, 220.0)  # ends of the sliders of the studio


@component
@dataclass(frozen=True)
class MusicDomain(MusicSpec):
    """Songs of a `MusicSpec`, rendered at `tempo_bpm` quarters per minute."""

    tempo_bpm: float = 84.0
    selection_metric: str = field(default="feature_frechet_distance", init=False)
    distance_name: ClassVar[str] = (
        "1 - the share of sounding cells (steps times pitches) that two windows have in common, in "
        "the best of twelve transpositions"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tempo_bpm > 0:
            raise ValueError(f"tempo_bpm must be more than 0; got {self.tempo_bpm}")

    def sample(
        self,
        generator: Generator,
        n: int,
        rng: torch.Generator,
        *,
        bars: int | None = None,
        tempo: float | None = None,
        given: Path | None = None,
        keep: str | None = None,
        infill_bars: str | None = None,
        infill_tracks: str | None = None,
        continue_from: Path | None = None,
        retrigger: bool = False,
        key: str | None = None,
        chords: str | None = None,
        ending: bool = False,
        swing: float = STRAIGHT,
        instruments: str | None = None,
    ) -> list[Song]:
        """Sample `n` songs, unconditionally or conditioned on a MIDI file.

        Songs longer than the generator's window are sampled window by window, each conditioned on
        the bars before. Observed notes come back note for note, on the grid.

        bars: length of the songs in bars; with --continue-from the number of bars added
        tempo: quarters per minute
        given: a MIDI file to condition on; see --keep, --infill-bars and --infill-tracks
        keep: voices of --given to keep, such as soprano,bass; the others are generated
        infill_bars: bars of --given to generate, such as 3-4 or 1,5-6
        infill_tracks: voices of --given to generate (within --infill-bars if both are set)
        continue_from: a MIDI file to continue
        retrigger: start a new note where the generator would extend an observed one
        key: the key, such as G or Em; of generators that plan chords, as --chords and --ending
        chords: the chords bar by bar, such as "G Em C D", repeated to the end; two a bar: "G,Em C"
        ending: end the song in its last bars
        swing: where in a beat its second eighth begins: 0.5 straight, 0.66 swung
        instruments: of the tracks, such as melody=violin,piano=24: General MIDI names or programs
        """
        performance = read_performance(self, tempo, swing, instruments)
        options = SamplingOptions(
            bars, given, keep, infill_bars, infill_tracks, continue_from, retrigger,
            key, chords, ending,
        )  # fmt: skip
        _check_plan(options, generator)
        plan = plan_sampling(self, options)
        x = sample_long(
            generator,
            n,
            rng,
            plan.conditioning,
            self.voices,
            window_steps=self.grid.steps,
            hop_steps=self.hop_steps,
            retrigger=retrigger,
        )
        return [performance.play(self._trimmed(song, plan)) for song in self.decode(x)]

    def option_choices(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the voices for the options that take them."""
        names = tuple(voice.name for voice in self.voices)
        return {"keep": names, "infill_tracks": names}

    def option_controls(self) -> dict[str, Range | Several]:
        """Sliders for length and tempo, check boxes for the voices."""
        voices = Several(tuple(voice.name for voice in self.voices))
        bars = Range(0, MAX_BARS_ON_A_PAGE, 1, 0, "as trained")
        low, high = TEMPOS_BPM
        tempo = Range(min(low, self.tempo_bpm), max(high, self.tempo_bpm), 1, self.tempo_bpm)
        swing = Range(STRAIGHT, MAX_SWING, 0.02, STRAIGHT, "straight")
        return {
            "bars": bars,
            "tempo": tempo,
            "keep": voices,
            "infill_tracks": voices,
            "swing": swing,
        }

    def sampling_tasks(self, generator: Generator) -> dict[str, tuple[str, ...]]:
        """Compose, accompany a song, or continue one; a plan only where the generator has it."""
        plan = ("key", "chords", "ending") if isinstance(generator, SupportsSongPlan) else ()
        swing = ("swing",) if self.signature.beat_ticks == TICKS_PER_QUARTER else ()
        played = ("tempo", *swing, "instruments")
        return {
            "compose": ("bars", *plan, *played),
            "accompany": ("given", "keep", "infill_bars", "infill_tracks", "retrigger", *played),
            "continue": ("continue_from", "bars", "retrigger", *plan, *played),
        }

    def decode(self, x: Tensor) -> list[Song]:
        """Decode (B, T, C), T being any number of steps, to songs.

        Raises ValueError for another number of channels, or values that are not finite.
        """
        return [
            from_pianoroll(
                roll,
                self.voices,
                self.steps_per_quarter,
                tempo_bpm=self.tempo_bpm,
                time_signatures=(self.signature,),
            )
            for roll in decode(x, self.voices)
        ]

    def preview(self, samples: list[Song], path: Path, columns: int | None = None) -> list[Path]:
        """Write piano-rolls of the first songs to `path` + ".png", and the very first as audio.

        `path` + ".wav" and ".mid" hold these songs one after another, a bar of silence between
        them. With `columns` all songs are plotted, in that many columns.
        """
        shown = samples[:PREVIEW_SONGS] if columns is None else samples
        concatenated = concatenate(samples[:AUDIO_SONGS])
        png, wav, mid = (path.with_name(path.name + suffix) for suffix in (".png", ".wav", ".mid"))
        return [
            pianoroll_plot.plot_songs(shown, png, columns or min(PREVIEW_COLUMNS, len(shown))),
            audio.write_wav(concatenated, wav),
            write_midi(concatenated, mid),
        ]

    def media(self, samples: list[Song]) -> list[Medium]:
        """Return the notes of each song as JSON; see `pianoroll_json`."""
        return [Medium(PIANO_ROLL, pianoroll_json.piano_roll(song)) for song in samples]

    def nearest_items(
        self, samples: Sequence[Song], data: Dataset, rng: torch.Generator
    ) -> NearestItems:
        """Find the training window that shares most sounding cells with each song, in any key."""
        rolls = [to_pianoroll(song, self.voices, self.steps_per_quarter) for song in samples]
        x = torch.stack([encode(roll, self.voices) for roll in rolls])
        windows, distances, count = nearest_windows(x, data, self.voices, rng)
        return NearestItems(self.decode(windows), distances, count)

    def audio(self, sample: Song) -> bytes:
        """Return the rendered song as OGG Vorbis."""
        return audio.encode_ogg(sample)

    def write(
        self, samples: list[Song], folder: Path, *, audio: str = "wav", score: bool = False
    ) -> list[Path]:
        """Write 000000.mid, 000000.wav and 000000.png of each song; print the synthesizer used.

        audio: wav, ogg or none
        score: also write MusicXML, with chord symbols
        """
        return write_song_files(samples, folder, audio, score)

    def read_samples(self, folder: Path) -> list[Song]:
        """Read the songs that `write` wrote, in order; their observed spans are not kept."""
        return [read_midi(file) for file in sorted(folder.glob("[0-9]" * 6 + ".mid"))]

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Evaluate real windows, baselines and the generator; see `metrics.evaluation`."""
        return evaluation.evaluate(self, sampler.generator, data, rng, cache)

    def _trimmed(self, song: Song, plan: SamplingPlan) -> Song:
        """Remove the padding; tempo and key are those of the conditioning file."""
        if (plan.start_tick, plan.end_tick) != (0, song.length_ticks):
            song = song.window(plan.start_tick, plan.end_tick)
        if plan.source is None:
            return song
        return CompletedSong(
            song.tracks,
            song.length_ticks,
            plan.source.tempo_bpm,
            song.time_signatures,
            song.anacrusis_ticks,
            plan.source.key,
            plan.source.tempo_changes,
            given=plan.given_spans,
        )


def _check_plan(options: SamplingOptions, generator: Generator) -> None:
    """Raise ValueError where a plan is asked of a generator without one."""
    if options.has_plan and not isinstance(generator, SupportsSongPlan):
        raise ValueError(
            "--key, --chords and --ending must have a generator that plans chords (pop); "
            f"got {type(generator).__name__}"
        )
