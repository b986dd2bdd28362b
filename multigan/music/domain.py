"""What one sample is: a song."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from multigan.core.protocols import Dataset, Generator, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.music.formats.song import (
    NOTE_VALUES,
    TICKS_PER_QUARTER,
    CompletedSong,
    Song,
    TimeSignature,
    concatenate,
)
from multigan.music.metrics import evaluation
from multigan.music.rendering import audio, pianoroll_json, pianoroll_plot
from multigan.music.rendering.song_files import write_song_files
from multigan.music.representations.tensors import decode
from multigan.music.representations.time_grid import TimeGrid, WindowGrid
from multigan.music.representations.voices import SATB, Voice
from multigan.music.sampling.options import SamplingOptions, SamplingPlan, plan_sampling
from multigan.music.sampling.sliding_window import sample_long

SHOWN, COLUMNS = 16, 4  # songs in a preview, and side by side
HEARD = 4  # songs of a preview that are joined into one WAV and one MIDI file


@component
@dataclass(frozen=True)
class MusicDomain:
    """Songs of named voices, in windows of `bars` bars of one metre ("4/4") on a grid.

    `tempo_bpm` (quarters per minute) is what they are played at. Networks see `tensors`. Raises
    ValueError for a metre that is none, or whose bars and beats are no whole steps.
    """

    voices: tuple[Voice, ...] = SATB
    bars: int = 2
    metre: str = "4/4"
    steps_per_quarter: int = 4
    tempo_bpm: float = 84.0
    selection_metric: str = field(default="frechet", init=False)

    def __post_init__(self) -> None:
        names = [voice.name for voice in self.voices]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"voices {names}; wanted one or more, each with a name of its own")
        if self.bars < 1 or self.steps_per_quarter < 1 or not self.tempo_bpm > 0:
            raise ValueError(
                f"{self.bars} bars, {self.steps_per_quarter} steps per quarter, {self.tempo_bpm} "
                "quarters per minute; wanted 1 or more, 1 or more, and more than 0"
            )
        signature = self.signature
        uneven = TICKS_PER_QUARTER % self.steps_per_quarter
        if (
            uneven
            or signature.bar_ticks % self.step_ticks
            or signature.beat_ticks % self.step_ticks
        ):
            raise ValueError(
                f"a bar of {self.metre} has no whole steps of {self.steps_per_quarter} a quarter"
            )

    @property
    def signature(self) -> TimeSignature:
        """The metre as numbers, from tick 0 on."""
        counts, _, unit = self.metre.partition("/")
        if not (
            counts.isdecimal() and unit.isdecimal() and int(counts) and int(unit) in NOTE_VALUES
        ):
            raise ValueError(f"metre is {self.metre!r}; wanted one such as 4/4 or 6/8")
        return TimeSignature(0, int(counts), int(unit))

    @property
    def step_ticks(self) -> int:
        """The length of a step."""
        return TICKS_PER_QUARTER // self.steps_per_quarter

    @property
    def frame(self) -> WindowGrid:
        """The size of a window."""
        bar, beat = self.signature.bar_ticks, self.signature.beat_ticks
        return WindowGrid(
            self.bars, bar // self.step_ticks, beat // self.step_ticks, len(self.voices)
        )

    @property
    def hop_steps(self) -> int:
        """How many steps each window of a long piece adds to the one before."""
        return max(1, self.bars // 2) * self.frame.bar_steps

    @property
    def grid(self) -> TimeGrid:
        """What its steps are, for the metrics."""
        return TimeGrid(self.frame.bar_steps, self.frame.beat_steps, self.steps_per_quarter)

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
        fill_bars: str | None = None,
        fill_tracks: str | None = None,
        extend: Path | None = None,
        lock_ends: bool = False,
    ) -> list[Song]:
        """Draw `n` songs, freely or around what a MIDI file gives.

        Songs longer than the generator's window are drawn window by window, the bars before known.
        What is given comes back note for note, on the grid.

        bars: how long the songs are, in bars; with --extend how many are added
        tempo: quarters per minute
        given: a MIDI file of which --keep, --fill-bars and --fill-tracks say what stays
        keep: the voices of --given that stay, such as soprano,bass: the others are written to them
        fill_bars: the bars of --given to write anew, such as 3-4 or 1,5-6
        fill_tracks: the voices of --given to write anew (in --fill-bars if that is named too)
        extend: a MIDI file to continue
        lock_ends: strike anew what would hold a given note longer than it was
        """
        wishes = SamplingOptions(bars, given, keep, fill_bars, fill_tracks, extend, lock_ends)
        agreed = plan_sampling(self, wishes)
        x = sample_long(
            generator,
            n,
            rng,
            agreed.given,
            self.voices,
            window_steps=self.frame.steps,
            hop_steps=self.hop_steps,
            lock_ends=lock_ends,
        )
        songs = (self._trimmed(song, agreed) for song in self.decode(x))
        return [song if tempo is None else replace(song, tempo_bpm=tempo) for song in songs]

    def option_choices(self) -> dict[str, tuple[str, ...]]:
        """The voices, by which what stays and what is written anew are named."""
        names = tuple(voice.name for voice in self.voices)
        return {"keep": names, "fill_tracks": names}

    def decode(self, x: Tensor) -> list[Song]:
        """Songs of (B, T, C), T being any number of steps.

        Raises ValueError for another number of channels, or values that are not finite.
        """
        return [
            Song.from_roll(
                roll,
                self.voices,
                self.steps_per_quarter,
                tempo_bpm=self.tempo_bpm,
                metres=(self.signature,),
            )
            for roll in decode(x, self.voices)
        ]

    def preview(self, samples: list[Song], path: Path, columns: int | None = None) -> list[Path]:
        """Write the rolls of the first songs into `path` + ".png", and the very first as sound.

        These are joined, a bar of silence between them, in `path` + ".wav" and ".mid". With
        `columns` all songs are drawn, that many side by side.
        """
        shown = samples[:SHOWN] if columns is None else samples
        heard = concatenate(samples[:HEARD])
        png, wav, mid = (path.with_name(path.name + suffix) for suffix in (".png", ".wav", ".mid"))
        return [
            pianoroll_plot.plot_songs(shown, png, columns or min(COLUMNS, len(shown))),
            audio.write_wav(heard, wav),
            heard.to_midi(mid),
        ]

    def media(self, samples: list[Song]) -> list[Medium]:
        """The notes of each song as JSON, for a page to draw and play; see `page`."""
        return [
            Medium(pianoroll_json.PIANO_ROLL, pianoroll_json.piano_roll(song)) for song in samples
        ]

    def write(self, samples: list[Song], folder: Path) -> list[Path]:
        """Write 000000.mid, 000000.wav and 000000.png of each song; a line says what played it."""
        return write_song_files(samples, folder)

    def read_samples(self, folder: Path) -> list[Song]:
        """The songs that `write` wrote, in order; what was given is not known any more."""
        return [Song.from_midi(file) for file in sorted(folder.glob("[0-9]" * 6 + ".mid"))]

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Measure real windows, poor imitations of them, and this model; see `evaluation`."""
        return evaluation.evaluate(self, sampler.generator, data, rng, cache)

    def _trimmed(self, song: Song, agreed: SamplingPlan) -> Song:
        """The song without its padding; tempo and key are those of the file behind it."""
        song = song.window(agreed.start_tick, agreed.end_tick)
        if agreed.source is None:
            return song
        return CompletedSong(
            song.tracks,
            song.length_ticks,
            agreed.source.tempo_bpm,
            song.metres,
            song.pickup_ticks,
            agreed.source.key,
            given=agreed.stretches,
        )
