"""Write songs as MIDI, audio and piano-roll images."""

from __future__ import annotations

from pathlib import Path

from multigan.core.progress import tracked
from multigan.music.formats.midi import write_midi
from multigan.music.formats.song import Song
from multigan.music.rendering.audio import check_duration, synthesizer_state, write_wav
from multigan.music.rendering.pianoroll_plot import plot_song


def write_song_files(songs: list[Song], folder: Path) -> list[Path]:
    """Write 000000.mid, 000000.wav and 000000.png of each song, and say what played them.

    Raises ValueError, before anything is written, for a song that is too long for audio.
    """
    for song in songs:
        check_duration(song)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, song in enumerate(tracked(songs, len(songs), "songs written")):
        mid, wav, png = (folder / f"{number:06d}{suffix}" for suffix in (".mid", ".wav", ".png"))
        files += [write_midi(song, mid), write_wav(song, wav), plot_song(song, png)]
    if songs:
        print(synthesizer_state())
    return files
