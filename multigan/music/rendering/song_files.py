"""Write songs as MIDI, audio and piano-roll images."""

from __future__ import annotations

from pathlib import Path

from multigan.core.progress import tracked
from multigan.music.formats.midi import write_midi
from multigan.music.formats.song import Song
from multigan.music.rendering.audio import (
    AUDIO_FORMATS,
    check_duration,
    synthesizer_state,
    write_audio,
)
from multigan.music.rendering.pianoroll_plot import plot_song
from multigan.music.rendering.score import write_score

NO_AUDIO = "none"


def write_song_files(
    songs: list[Song], folder: Path, audio: str = "wav", score: bool = False
) -> list[Path]:
    """Write 000000.mid, 000000.wav and 000000.png of each song, and say what played them.

    `audio` is a key of AUDIO_FORMATS or NO_AUDIO; with `score` there is 000000.musicxml too. Raises
    ValueError, before anything is written, for another, and for a song too long for audio.
    """
    if audio not in (*AUDIO_FORMATS, NO_AUDIO):
        raise ValueError(
            f"audio must be one of {', '.join((*AUDIO_FORMATS, NO_AUDIO))}; got {audio!r}"
        )
    for song in songs if audio != NO_AUDIO else ():
        check_duration(song)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, song in enumerate(tracked(songs, len(songs), "songs written")):
        stem = folder / f"{number:06d}"
        files.append(write_midi(song, stem.with_suffix(".mid")))
        if audio != NO_AUDIO:
            files.append(write_audio(song, stem.with_suffix(f".{audio}")))
        files.append(plot_song(song, stem.with_suffix(".png")))
        if score:
            files.append(write_score(song, stem.with_suffix(".musicxml")))
    if songs and audio != NO_AUDIO:
        print(synthesizer_state())
    return files
