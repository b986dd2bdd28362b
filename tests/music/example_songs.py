"""The MIDI files that the documentation names."""

from pathlib import Path

from multigan.core.rng import keyed_rng
from multigan.music.datasets.synthetic_songs import generate_songs
from multigan.music.formats.midi import write_midi
from multigan.music.formats.song import Song


def write_example_songs(folder: Path) -> None:
    """Write song.mid (four voices), melody.mid (its soprano) and the folder midi."""
    songs = [found.song for found in generate_songs("satb", 4, keyed_rng("readme"), bars=5)]
    write_midi(songs[0], folder / "song.mid")
    soprano = Song((songs[0].track("soprano"),), songs[0].length_ticks)
    write_midi(soprano, folder / "melody.mid")
    (folder / "midi").mkdir()
    for number, song in enumerate(songs):
        write_midi(song, folder / "midi" / f"{number}.mid")
