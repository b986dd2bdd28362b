"""The music commands: baseline metrics of the JSB chorales, rendering songs to files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from json import dumps
from pathlib import Path

import torch
from torch import Tensor

from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.core.rng import keyed_rng
from multigan.music.datasets.jsb_chorales import VOICES, read_jsb, sliding_windows
from multigan.music.datasets.sources import read_songs
from multigan.music.datasets.zip_import import imported_folder
from multigan.music.formats.song import Song
from multigan.music.formats.songs import SUFFIXES, is_song, read_song
from multigan.music.metrics import note_statistics
from multigan.music.metrics.baselines import (
    markov_voices,
    random_quarter_notes,
    shuffled_voices,
)
from multigan.music.rendering.song_files import write_song_files

SAMPLED = 1000  # windows in each baseline
REPORTED = (
    "n_pitch_classes_used",
    "n_pitch_classes_used_joint",
    "pitch_class_entropy",
    "scale_consistency",
    "groove_consistency",
    "qualified_note_rate",
    "notes_per_bar",
    "mean_abs_interval",
    "tonal_distance",
    "voice_crossing_rate",
    "dissonance_rate",
    "parallel_motion_rate",
    "feature_frechet_distance",
)  # the keys of a row in the JSON line


def jsb_reference(*, data: str, json: bool = False) -> None:
    """Print every metric of Bach's chorales and of three baselines.

    data: Jsb16thSeparated.json, the chorales on a grid of sixteenths
    json: also print, as the last line, one JSON object: row -> metric -> value
    """
    rows = reference_rows(read_jsb(data))
    print(_table(rows).markdown())
    if json:
        print(dumps({name: finite_or_none(_reported(row)) for name, row in rows.items()}))


def reference_rows(pieces: Mapping[str, Sequence[Tensor]]) -> dict[str, dict[str, float]]:
    """Return row -> metric -> value, against all training windows, of pieces (T, 4) in splits.

    "train", "valid" and "test" are all complete two-bar windows; the baselines are SAMPLED windows
    each, the same on every call.
    """
    windows = {split: sliding_windows(chorales) for split, chorales in pieces.items()}
    train = windows["train"]
    sets = windows | {
        "voices shuffled": shuffled_voices(train, SAMPLED, _rng("voices shuffled")),
        "Markov": markov_voices(train, SAMPLED, _rng("Markov")),
        "random quarters": random_quarter_notes(SAMPLED, _rng("random quarters")),
    }
    reference = note_statistics.features(train)
    return {
        name: {"windows": float(len(x)), **note_statistics.window_metrics(x, reference, VOICES)}
        for name, x in sets.items()
    }


def _rng(row: str) -> torch.Generator:
    return keyed_rng(0, "music reference", row)


def _reported(row: Mapping[str, float]) -> dict[str, float]:
    return {metric: row[metric] for metric in REPORTED}


def _table(rows: Mapping[str, Mapping[str, float]]) -> ResultsTable:
    """Transpose the rows to columns, which fits a terminal, and explain them."""
    transposed = {
        metric: {name: row[metric] for name, row in rows.items()} for metric in rows["train"]
    }
    return ResultsTable(
        transposed,
        (
            "windows of 32 sixteenths: all complete ones every 16 steps of a piece in train, valid "
            f"and test; {SAMPLED:,} of each baseline; a value is the mean over windows",
            "a note begins where the pitch changes: this format does not mark repeated notes",
            "n_pitch_classes_used counts an empty bar of a voice as 0",
            "feature_frechet_distance: between 13 standardized features of these windows and of "
            "all train windows; feature_frechet_distance_clipped: with those beyond "
            f"{note_statistics.CLIP:g} sd set to that. The 0 of train is no floor: it is compared "
            "with itself, and 1,000 of its windows score about .05",
            "voices shuffled: each voice from another train window; Markov: each voice an "
            "independent chain of sixteenths; random quarters: uniform pitches",
        ),
    )


def render_songs(
    source: str,
    *,
    out: str = "rendered",
    n: int = 8,
    split: str = "test",
    bars: int = 0,
    audio: str = "wav",
    score: bool = False,
) -> None:
    """Write songs of a dataset, or of one MIDI file or score, as MIDI, audio and PNG files.

    out: the folder to write to
    n: maximum number of songs
    split: train, valid or test
    bars: number of bars of each song, from its first bar line on; 0: all
    audio: wav, ogg or none
    score: also write MusicXML, with chord symbols
    """
    if n < 1 or bars < 0:
        raise ValueError(f"n must be 1 or more and bars 0 or more; got {n} and {bars}")
    songs = list(islice(_songs(source, split, bars), n))
    if not songs:
        of_length = f" of {bars} bars; set fewer --bars" if bars else ""
        raise ValueError(f"{source}: there must be a song with notes{of_length}; got none")
    files = write_song_files(songs, Path(out), audio, score)
    print(f"{len(songs)} songs: {len(files)} files in {out}")


def _songs(source: str, split: str, bars: int) -> Iterator[Song]:
    """Yield the songs, cut to their first `bars` bars with notes unless 0; others are skipped."""
    for song in _whole_songs(source, split):
        parts = [song] if not bars else (song.window(*w) for w in song.bar_windows(bars))
        yield from islice((part for part in parts if any(t.notes for t in part.tracks)), 1)


def _whole_songs(source: str, split: str) -> list[Song]:
    """Return the song of a MIDI file or a score, or those of a split of a dataset or a zip."""
    path = Path(source)
    if path.suffix.lower() in SUFFIXES or (path.is_file() and is_song(path)):
        return [read_song(source)]
    splits = read_songs(imported_folder(source), "4/4")
    if split not in splits:
        raise ValueError(f"split must be one of {', '.join(splits)}; got {split!r}")
    return list(splits[split].values())
