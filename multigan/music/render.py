"""Real songs as files to look at and listen to, beside what a model writes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from multigan.music.audio import synthesizer_state, write_wav
from multigan.music.folder import SUFFIXES
from multigan.music.sight import draw_song
from multigan.music.song import Song
from multigan.music.sources import read_songs


def render(
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
    print(f"{len(songs)} songs: {len(write_songs(songs, Path(out)))} files in {out}")


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


def write_songs(songs: list[Song], folder: Path) -> list[Path]:
    """Write 000000.mid, 000000.wav and 000000.png of each song, and say what played them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, song in enumerate(songs):
        mid, wav, png = (folder / f"{number:06d}{suffix}" for suffix in (".mid", ".wav", ".png"))
        files += [song.to_midi(mid), write_wav(song, wav), draw_song(song, png)]
    if songs:
        print(synthesizer_state())
    return files
