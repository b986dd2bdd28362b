"""Figures of sound against the calibration of BS.1770 and hand numbers."""

import math

import numpy as np
import pytest

from multigan.music.formats.song import Note, Song, Track
from multigan.music.rendering import audio
from multigan.music.rendering.loudness import k_weighting, loudness, sound_figures


def sine(hertz, rate, seconds=2.0, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_sine_has_the_loudness_of_the_standard(rate):
    one = np.stack([sine(997, rate), np.zeros(2 * rate)], 1)
    assert loudness(one, rate) == pytest.approx(-3.01, abs=0.03)
    assert loudness(one[:, :1].repeat(2, 1), rate) == pytest.approx(0, abs=0.03)
    assert loudness(one * 0.1, rate) == pytest.approx(-23.01, abs=0.03)


def test_quiet_passages_are_gated():
    rate = 16_000
    loud = np.stack([sine(997, rate, 4, 0.5)] * 2, 1)
    quiet = np.concatenate([loud, loud * 0.01, np.zeros((4 * rate, 2))])
    assert loudness(quiet, rate) == pytest.approx(loudness(loud, rate), abs=0.4)
    assert loudness(np.zeros((rate, 2)), rate) == -math.inf


def test_the_filters_are_those_of_the_standard_at_its_rate():
    hertz = np.geomspace(20, 20_000, 50)
    z = np.exp(-2j * np.pi * hertz / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    highpass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    found = k_weighting(hertz, 48_000)
    assert np.allclose(found, shelf * highpass, atol=1e-4)


@pytest.mark.parametrize(("rate", "seconds"), [(44_100, 3.3), (22_050, 5.0), (8_000, 0.2)])
def test_a_sound_filtered_in_blocks_is_as_loud_as_one_filtered_at_once(rate, seconds):
    rng = np.random.default_rng(0)
    sound = rng.standard_normal((round(rate * seconds), 2)).astype(np.float32)
    sound *= np.linspace(0.01, 0.3, len(sound), dtype=np.float32)[:, None]
    block, hop = min(round(0.4 * rate), len(sound)), rate // 10
    size = 2 * len(sound) + rate
    response = k_weighting(np.fft.rfftfreq(size, 1 / rate), rate)[:, None]
    weighted = np.fft.irfft(np.fft.rfft(sound, size, axis=0) * response, size, axis=0)
    starts = range(0, len(sound) - block + 1, hop)
    power = np.array([(weighted[s : s + block] ** 2).sum() / block for s in starts])
    gate = 10 * np.log10(power[-0.691 + 10 * np.log10(power) > -70].mean()) - 10
    expected = -0.691 + 10 * np.log10(power[10 * np.log10(power) > gate].mean())
    assert loudness(sound, rate) == pytest.approx(expected, abs=1e-4)


def test_figures_of_a_sine_between_silences():
    rate = 16_384
    tone = sine(1000, rate, 2, 0.5)
    sound = np.stack([np.concatenate([tone, np.zeros(2 * rate)])] * 2, 1)
    found = sound_figures(sound, rate)
    assert found.silent_share == pytest.approx(0.5) and found.clipped_share == 0
    assert found.centroid_hz == pytest.approx(1000, abs=10)
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert sound_figures(2 * sound, rate).clipped_share > 0.01
    assert "50.0% silent" in found.line()


def test_songs_have_the_stated_loudness_or_reach_the_peak():
    chord = tuple(Note(480 * k, 480 * k + 480, 60 + 4 * (k % 3)) for k in range(8))
    for notes in (chord, chord[:1]):
        sound = audio.render_song(Song((Track("organ", notes, 16),), 3840), 11_025, by="additive")
        found = sound_figures(sound, 11_025)
        peak = 20 * math.log10(audio.PEAK)
        assert found.peak_dbfs <= peak + 0.01
        at_target = found.loudness_lufs == pytest.approx(audio.LOUDNESS_LUFS, abs=0.05)
        assert at_target or found.peak_dbfs == pytest.approx(peak, abs=0.01)
