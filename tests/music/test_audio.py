from dataclasses import replace

import numpy as np
import pytest
import soundfile

from multigan.music.formats.song import Note, Song, Track, concatenate
from multigan.music.rendering import audio
from multigan.music.rendering.song_files import write_song_files
from multigan.music.rendering.synthesizer import FAMILIES, drum, timbre_of, tone
from multigan.music.representations.voices import DRUM_CLASSES

RATE = 11_025  # enough for levels and pitches, and quick


def level(sound):
    """Root mean square."""
    return float(np.sqrt(np.square(sound).mean()))


def line(name, pitch, program=52, is_drum=False):
    notes = tuple(Note(960 * i, 960 * i + 480, pitch) for i in range(2))
    return Track(name, notes, program, is_drum)


BAND = Song(
    (line("lead", 72, 65), line("chords", 60, 0), line("bass", 36, 33),
     line("drums", 38, is_drum=True)),
    1920,
)  # fmt: skip


def test_a_song_is_as_long_as_its_ticks_and_below_the_peak():
    sound = audio.render_song(BAND, RATE, by="additive")
    assert sound.shape == (round((4 * 60 / 100 + audio.RELEASE_SECONDS) * RATE), 2)
    assert sound.dtype == np.float32 and np.isfinite(sound).all()
    assert np.abs(sound).max() <= audio.PEAK + 1e-4 and level(sound) > 0.02


@pytest.mark.parametrize("name", ["lead", "chords", "bass", "drums"])
def test_every_track_is_heard_in_the_mix(name):
    alone = audio.render_song(Song((BAND.track(name),), 1920), RATE, by="additive")
    assert level(alone) > 0.02
    others = tuple(track for track in BAND.tracks if track.name != name)
    without = audio.render_song(replace(BAND, tracks=others), RATE, by="additive")
    assert level(audio.render_song(BAND, RATE, by="additive") - without) > 0.01


def test_drums_alone_and_no_notes_at_all_are_sound():
    assert level(audio.render_song(Song((BAND.track("drums"),), 1920), RATE, by="additive")) > 0.02
    silent = audio.render_song(Song((Track("a"),), 1920), RATE, by="additive")
    assert len(silent) > RATE and not silent.any()


def test_a_note_has_its_pitch():
    sound = tone(69, 4 * RATE, timbre_of(0), RATE)
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.fft.rfftfreq(len(sound), 1 / RATE)[spectrum.argmax()] == pytest.approx(440, abs=0.5)


@pytest.mark.parametrize("timbre", set(FAMILIES))
@pytest.mark.parametrize("pitch", [0, 60, 127])
def test_tones_begin_and_end_softly_and_stay_in_range(timbre, pitch):
    sound = tone(pitch, 2000, timbre, RATE)
    assert len(sound) == 2000 + timbre.ring(RATE) and np.isfinite(sound).all()
    assert np.abs(sound).max(initial=0) <= 1 and abs(sound[0]) < 1e-3 and abs(sound[-1]) < 1e-2


@pytest.mark.parametrize("pitch", [*DRUM_CLASSES.values(), 27])
def test_every_drum_sounds_and_dies(pitch):
    sound = drum(pitch, RATE)
    assert np.abs(sound).max() == pytest.approx(1) and np.isfinite(sound).all()
    assert level(sound[-len(sound) // 10 :]) < 0.05
    assert np.array_equal(sound, drum(pitch, RATE))


def test_downbeats_are_louder():
    notes = tuple(Note(480 * i, 480 * i + 240, 60) for i in range(4))
    sound = audio.render_song(Song((Track("a", notes, 16),), 1920), RATE, by="additive")
    beats = [level(sound[int(0.6 * i * RATE) :][:2000]) for i in range(4)]
    assert beats[0] > 1.1 * max(beats[1:])


def test_a_wav_file_holds_what_was_rendered(tmp_path):
    file = audio.write_wav(BAND, tmp_path / "song.wav", RATE)
    read, rate = soundfile.read(file)
    assert rate == RATE and soundfile.info(file).subtype == "PCM_16"
    assert np.abs(read - audio.render_song(BAND, RATE)).max() < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
    mono, rate = audio.read_wav(file)
    assert rate == RATE and np.allclose(mono, read.mean(1), atol=1e-4)


def test_the_synthesizer_is_said_in_one_line():
    assert audio.synthesizer() in audio.RENDERERS
    assert audio.synthesizer_state().startswith("rendered by ")
    with pytest.raises(ValueError, match="no synthesizer 'x'; known: additive, tinysoundfont"):
        audio.render_song(BAND, RATE, by="x")


def test_the_soundfont_is_that_of_pretty_midi():
    assert audio.soundfont().name == "TimGM6mb.sf2"


def test_the_soundfont_plays_every_track():
    pytest.importorskip("tinysoundfont")
    for track in BAND.tracks:
        sound = audio.render_song(Song((track,), 1920), RATE, by="tinysoundfont")
        assert np.isfinite(sound).all() and level(sound) > 0.01
    mix = audio.render_song(BAND, RATE, by="tinysoundfont")
    assert np.array_equal(mix, audio.render_song(BAND, RATE, by="tinysoundfont"))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all"])
def test_what_is_no_sound_is_one_line(tmp_path, content):
    file = tmp_path / "bad.wav"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.wav: no readable sound"):
        audio.read_wav(file)
    with pytest.raises(ValueError, match=r"none\.wav: no readable sound"):
        audio.read_wav(tmp_path / "none.wav")


def test_songs_are_joined_on_bar_lines_with_a_bar_between_them():
    pickup = Song((line("a", 60),), 1920, anacrusis_ticks=480)
    song = concatenate([Song((line("a", 64),), 1920), pickup, pickup])
    starts = [note.start_tick for note in song.tracks[0].notes]
    assert starts[0] == 0 and starts[2] == 2 * 1920 - 480 + 1920 * 0
    assert (starts[2] + 480) % 1920 == 0 and (starts[4] + 480) % 1920 == 0
    assert song.length_ticks == starts[4] + 1920
    with pytest.raises(ValueError, match="concatenate needs 1 song or more"):
        concatenate([])


def test_a_song_of_hours_is_refused_before_anything_is_written(tmp_path):
    short = Song((Track("piano", (Note(0, 480, 60),)),), 1920)
    with pytest.raises(ValueError, match=r"at most 2 hours to become audio; got 6\.7 hours"):
        write_song_files([short, replace(short, tempo_bpm=0.01)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
