"""The music commands: baseline metrics of the JSB chorales, rendering songs to files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from json import dumps
from pathlib import Path

from torch import Tensor

from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.music.datasets.jsb_chorales import VOICES, read_jsb, sliding_windows
from multigan.music.datasets.midi_folder import SUFFIXES
from multigan.music.datasets.sources import read_songs
from multigan.music.formats.song import Song
from multigan.music.metrics import note_statistics
from multigan.music.metrics.baselines import (
    _rng,
    markov_voices,
    random_quarter_notes,
    shuffled_voices,
)
from multigan.music.rendering.song_files import write_song_files

SAMPLED = 1000  # windows in each imitation
REPORTED = (
    "used_pitch_classes",
    "mix_used_pitch_classes",
    "pitch_class_entropy",
    "scale_consistency",
    "groove",
    "qualified_notes",
    "notes_per_bar",
    "mean_leap",
    "tonal_distance",
    "voice_crossing",
    "dissonance",
    "parallels",
    "frechet",
)  # the keys of a row in the JSON line


def jsb_reference(*, data: str, json: bool = False) -> None:
    """Print what every metric says of Bach's chorales, and of three poor imitations of them.

    data: Jsb16thSeparated.json, the chorales on a grid of sixteenths
    json: also print, as the last line, one JSON object: row -> metric -> value
    """
    rows = reference_rows(read_jsb(data))
    print(_table(rows).markdown())
    if json:
        print(dumps({name: finite_or_none(_reported(row)) for name, row in rows.items()}))


def reference_rows(pieces: Mapping[str, Sequence[Tensor]]) -> dict[str, dict[str, float]]:
    """Row -> metric -> value, against all training windows, of pieces (T, 4) in three splits.

    "train", "valid" and "test" measure all complete two-bar windows; the imitations are SAMPLED
    windows each, the same on every call.
    """
    windows = {split: sliding_windows(chorales) for split, chorales in pieces.items()}
    train = windows["train"]
    sets = windows | {
        "voices shuffled": shuffled_voices(train, SAMPLED, _rng("voices shuffled")),
        "Markov": markov_voices(train, SAMPLED, _rng("Markov")),
        "random quarters": random_quarter_notes(SAMPLED, _rng("random quarters")),
    }
    known = note_statistics.features(train)
    return {
        name: {"windows": float(len(x)), **note_statistics.window_metrics(x, known, VOICES)}
        for name, x in sets.items()
    }


def _reported(row: Mapping[str, float]) -> dict[str, float]:
    return {metric: row[metric] for metric in REPORTED}


def _table(rows: Mapping[str, Mapping[str, float]]) -> ResultsTable:
    """The rows as columns, which fits a terminal, with what they are made of."""
    turned = {metric: {name: row[metric] for name, row in rows.items()} for metric in rows["train"]}
    return ResultsTable(
        turned,
        (
            "windows of 32 sixteenths: all complete ones every 16 steps of a piece in train, valid "
            f"and test; {SAMPLED:,} of each imitation; a figure is the mean over windows",
            "a note begins where the pitch changes: repeated notes cannot be told in this format",
            "used_pitch_classes counts an empty bar of a voice as 0",
            "frechet: between 13 standardised figures of these windows and of all train windows; "
            f"frechet_clipped: with those beyond {note_statistics.CLIP:g} sd set to that. "
            "The 0 of train is no floor: it is measured against itself, and 1,000 of its windows "
            "score about .05",
            "voices shuffled: each voice from another train window; Markov: each voice a chain of "
            "sixteenths of its own; random quarters: uniform pitches",
        ),
    )


def render_songs(
    source: str, *, out: str = "rendered", n: int = 8, split: str = "test", bars: int = 0
) -> None:
    """Write songs of a data set, or one MIDI file, as MIDI, WAV and PNG files.

    out: the folder to write to
    n: how many songs at most
    split: train, valid or test
    bars: only so many bars of each song, from its first bar line on; 0: all
    """
    if n < 1 or bars < 0:
        raise ValueError(f"n is {n} and bars {bars}; wanted 1 or more, and 0 or more")
    songs = list(islice(_songs(source, split, bars), n))
    if not songs:
        raise ValueError(f"{source}: no song of {bars} bars in {split}; wanted fewer bars")
    print(f"{len(songs)} songs: {len(write_song_files(songs, Path(out)))} files in {out}")


def _songs(source: str, split: str, bars: int) -> Iterator[Song]:
    """The songs, cut to their first bars if so many are wished; shorter ones are left out."""
    for song in _whole_songs(source, split):
        if not bars:
            yield song
        elif windows := song.bar_windows(bars):
            yield song.window(*windows[0])


def _whole_songs(source: str, split: str) -> list[Song]:
    """A MIDI file's song, or those of a split of a data set; ValueError if there is none."""
    if Path(source).suffix.lower() in SUFFIXES:
        return [Song.from_midi(source)]
    splits = read_songs(source, "4/4")
    if split not in splits:
        raise ValueError(f"no split called {split!r}; known: {', '.join(splits)}")
    return list(splits[split].values())
