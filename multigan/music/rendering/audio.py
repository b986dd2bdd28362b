"""Audio of songs: additive synthesis or a General MIDI soundfont, and WAV files."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from multigan.music.formats.song import Song, Track
from multigan.music.rendering.loudness import loudness
from multigan.music.rendering.synthesizer import drum, timbre_of, tone
from multigan.storage.files import write_atomically

RATE = 44_100  # samples per second
OGG_RATE = 22_050  # of audio inside a page
RELEASE_SECONDS = 0.5  # what is kept after the end of a song, for its last notes to ring
PEAK = 10 ** (-1 / 20)  # of full scale: 1 dB below it
LOUDNESS_LUFS = -18.0  # of a song, unless PEAK would be passed
MAX_SECONDS = 7200  # of a song: 2.5 GB in memory
WIDTH = 0.5  # of the stereo image: 0 is the middle, 1 from ear to ear
DRUM_CHANNEL, CHANNELS = 9, 16  # of MIDI; the pitched tracks share the other channels
MOST_KEPT = 256  # tones of a track: the same come again and again
AUDIO_FORMATS = {"wav": ("WAV", "PCM_16"), "ogg": ("OGG", "VORBIS")}  # suffix -> of libsndfile
SOUNDFONT = "TimGM6mb.sf2"  # pretty_midi carries it


def synthesizer() -> str:
    """The key of RENDERERS that renders songs here: the best of those that are installed."""
    playable = soundfont() is not None and importlib.util.find_spec("tinysoundfont") is not None
    return "tinysoundfont" if playable else "additive"


def synthesizer_state() -> str:
    """In one line: what renders songs here, and what would sound better."""
    if synthesizer() == "tinysoundfont":
        return f"rendered by tinysoundfont with pretty_midi's {SOUNDFONT}"
    better = "pip install --no-deps tinysoundfont"
    return f"rendered by multigan's additive synthesizer; for real instruments: {better}"


def soundfont() -> Path | None:
    """The soundfont that pretty_midi carries, if it is installed."""
    found = importlib.util.find_spec("pretty_midi")
    file = Path(found.origin).parent / SOUNDFONT if found and found.origin else None
    return file if file is not None and file.is_file() else None


def render_song(song: Song, rate: int = RATE, by: str | None = None) -> np.ndarray:
    """The sound of a song in stereo, (samples, 2) float32 in [-PEAK, PEAK], at LOUDNESS_LUFS.

    It lasts as long as the song and RELEASE_SECONDS more; a song without a note is silent. It is
    less loud where its peaks would pass PEAK. `by` is a key of RENDERERS, by default the best there
    is; velocities follow the meter. Raises ValueError, listing the known ones, for another, and for
    a song of more than MAX_SECONDS.
    """
    name = synthesizer() if by is None else by
    if name not in RENDERERS:
        raise ValueError(f"no synthesizer {name!r}; known: {', '.join(RENDERERS)}")
    check_duration(song)
    length = round((_seconds(song, song.length_ticks) + RELEASE_SECONDS) * rate)
    sound = np.zeros((length, 2), np.float32)
    RENDERERS[name](song, sound, rate)
    loudest = np.abs(sound).max(initial=0)
    assert np.isfinite(loudest), "a synthesizer made a sound that is not finite"
    if loudest > 0:
        to_target = 10 ** ((LOUDNESS_LUFS - loudness(sound, rate)) / 20)  # inf: gated as silence
        sound *= np.float32(min(PEAK / loudest, to_target))
    return sound


def check_duration(song: Song) -> None:
    """Raise ValueError for a song that lasts longer than MAX_SECONDS."""
    if (seconds := _seconds(song, song.length_ticks)) > MAX_SECONDS:
        raise ValueError(
            f"a song must last at most {MAX_SECONDS / 3600:g} hours to become audio; got "
            f"{seconds / 3600:,.1f} hours at {song.mean_tempo_bpm:g} quarters per minute"
        )


def write_audio(song: Song, path: Path, rate: int = RATE) -> Path:
    """Write a stereo file of the format of its suffix, whole or not at all.

    Its comment names the synthesizer. Raises ValueError for a suffix not in AUDIO_FORMATS.
    """
    name = path.suffix.removeprefix(".")
    if name not in AUDIO_FORMATS:
        raise ValueError(f"{path}: audio must end in {', '.join(AUDIO_FORMATS)}; got {name!r}")
    write_atomically(path, _encoded(song, name, rate))
    return path


def write_wav(song: Song, path: Path, rate: int = RATE) -> Path:
    """Write a 16-bit stereo WAV file; see `write_audio`."""
    return write_audio(song, path, rate)


def encode_ogg(song: Song, rate: int = OGG_RATE) -> bytes:
    """Encode a song as stereo OGG Vorbis: about a tenth of the size of WAV."""
    return _encoded(song, "ogg", rate)


def _encoded(song: Song, name: str, rate: int) -> bytes:
    """Render a song in a format of AUDIO_FORMATS."""
    kind, subtype = AUDIO_FORMATS[name]
    content = io.BytesIO()
    sound = render_song(song, rate)
    with soundfile.SoundFile(content, "w", rate, 2, subtype, format=kind) as file:
        file.comment = synthesizer_state().partition(";")[0]
        for start in range(0, len(sound), rate):  # Vorbis overflows its stack on long blocks
            file.write(sound[start : start + rate])
    return content.getvalue()


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """The channels' mean (samples,) of an audio file, and its rate; see `read_sound`."""
    sound, rate = read_sound(path)
    return sound.mean(1), rate


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """The sound (samples, channels), float32 in [-1, 1], of an audio file, and its rate.

    Raises ValueError in one line for a file that is missing or no sound.
    """
    try:
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise ValueError(f"{path}: no readable sound ({error}); name a WAV file") from error
    return sound, int(rate)


def _seconds(song: Song, ticks: float) -> float:
    return song.seconds_at(ticks)


def _pans(song: Song) -> Iterator[tuple[Track, np.ndarray]]:
    """Each track and its gains (2,), left and right: from side to side in their order."""
    places = np.linspace(-WIDTH, WIDTH, len(song.tracks)) if len(song.tracks) > 1 else [0.0]
    for track, place in zip(song.tracks, places, strict=True):
        angle = (place + 1) * math.pi / 4
        yield track, np.array([math.cos(angle), math.sin(angle)], np.float32)


def _render_additive(song: Song, sound: np.ndarray, rate: int) -> None:
    """Add the notes to silence (samples, 2), each as `synthesizer` has it."""
    for track, pan in _pans(song):
        tone_of = lru_cache(MOST_KEPT)(partial(_tone, track, rate))
        mono = np.zeros(len(sound), np.float32)
        for note in track.notes:
            start_s, end_s = _seconds(song, note.start_tick), _seconds(song, note.end_tick)
            samples = 0 if track.is_drum else round((end_s - start_s) * rate)
            place = mono[round(start_s * rate) :]
            rendered = tone_of(note.pitch_midi, samples)[: len(place)]
            place[: len(rendered)] += rendered * np.float32(song.velocity_of(note))
        sound += mono[:, None] * pan


def _tone(track: Track, rate: int, pitch: int, samples: int) -> np.ndarray:
    """Sound of a note of a track: a tone of its program, or a stroke of the drums."""
    if track.is_drum:
        return drum(pitch, rate)
    return tone(pitch, samples, timbre_of(track.program), rate)


class _Event(NamedTuple):
    """Event of a channel; of events at one tick the ends come first."""

    tick: int
    begins: bool
    channel: int
    pitch: int
    velocity: int = 0


def _render_soundfont(song: Song, sound: np.ndarray, rate: int) -> None:
    """Add the notes to silence (samples, 2), through the soundfont."""
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=rate)
    font = synth.sfload(str(soundfont()))
    free = [c for c in range(CHANNELS) if c != DRUM_CHANNEL]
    events = []
    for index, track in enumerate(song.tracks):
        channel = DRUM_CHANNEL if track.is_drum else free[index % len(free)]
        kit_or_program = 0 if track.is_drum else track.program
        synth.program_select(channel, font, 0, kit_or_program, is_drums=track.is_drum)
        for note in track.notes:
            velocity = song.velocity_of(note)
            events.append(_Event(note.start_tick, True, channel, note.pitch_midi, velocity))
            events.append(_Event(note.end_tick, False, channel, note.pitch_midi))
    place = 0
    for event in sorted(events):
        until = round(_seconds(song, event.tick) * rate)
        _generate(synth, sound[place:until])
        place = until
        if event.begins:
            synth.noteon(event.channel, event.pitch, event.velocity)
        else:
            synth.noteoff(event.channel, event.pitch)
    _generate(synth, sound[place:])


def _generate(synth: object, sound: np.ndarray) -> None:
    """Let the soundfont sound for as long as `sound` (samples, 2) lasts."""
    if len(sound):
        played = synth.generate(len(sound))  # type: ignore[attr-defined]
        sound += np.frombuffer(played, np.float32).reshape(-1, 2)


RENDERERS = {"additive": _render_additive, "tinysoundfont": _render_soundfont}


def check_synthesizer() -> str:
    """Describe the active synthesizer, and the better one that could be installed."""

    return synthesizer_state()


def check_soundfont() -> str:
    """The soundfont; ValueError with the line that gets it where there is none."""

    found = soundfont()
    if found is None:
        raise ValueError("pretty_midi carries one: pip install 'multigan[music]'")
    return str(found)
