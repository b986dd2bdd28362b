import importlib.util

import numpy as np
import pytest
import soundfile
import torch

from multigan.music.rendering import mel_spectrogram
from multigan.music.rendering.mel_spectrogram import (
    HOP,
    MELS,
    RATE,
    compare_spectrograms,
    load_audio,
    log_mel,
    mel_bands,
    mel_frechet,
    mel_frequencies,
    resample,
    torch_mel,
    torch_resample,
)

needs_torchaudio = pytest.mark.skipif(
    importlib.util.find_spec("torchaudio") is None, reason="torchaudio is not installed"
)


def noise(seconds=0.5, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(int(seconds * RATE), generator=rng) * 2 - 1


def sine(hz, seconds=0.5, rate=RATE):
    return torch.sin(2 * torch.pi * hz * torch.arange(int(seconds * rate)) / rate)


@needs_torchaudio
def test_our_own_mel_is_that_of_torchaudio():
    theirs, ours = mel_spectrogram._torchaudio_mel(noise()), torch_mel(noise())
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@needs_torchaudio
@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 22_050), (48_000, 22_050), (8_000, 22_050)])
def test_our_own_resampling_is_that_of_torchaudio(rate, wanted):
    wave = noise().double()  # torchaudio computes its filter in the precision of the wave
    theirs, ours = resample(wave, rate, wanted), torch_resample(wave, rate, wanted)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_without_torchaudio_the_same_comes_out(monkeypatch):
    whole = log_mel(noise()), resample(noise(), 44_100, RATE)
    monkeypatch.setattr(mel_spectrogram, "_has_torchaudio", lambda: False)
    bare = log_mel(noise()), resample(noise(), 44_100, RATE)
    for one, other in zip(whole, bare, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_sine_keeps_its_pitch_when_its_rate_changes():
    new = resample(sine(1000, rate=48_000), 48_000, RATE)
    middle = slice(1000, -1000)
    torch.testing.assert_close(new[middle], sine(1000)[: len(new)][middle], rtol=0, atol=1e-2)
    wave = noise()
    assert resample(wave, RATE, RATE) is wave


def test_a_sine_lies_in_the_band_of_its_frequency():
    mel = log_mel(sine(1000))
    assert mel.shape == (MELS, len(sine(1000)) // HOP + 1)
    band = int(mel[:, 20].argmax())
    low, _, high = mel_frequencies()[band : band + 3]
    assert low < 1000 < high
    assert log_mel(torch.zeros(RATE)).unique().tolist() == [-100.0]


def test_the_bands_are_triangles_that_cover_everything_between_their_corners():
    bands = mel_bands()
    assert bands.shape == (MELS, 513) and bands.min() >= 0 and bands.max() <= 1
    inside = slice(4, 480)  # from the first corner to the last: the outer slopes stand alone
    assert bands[:, inside].sum(0).sub(1).abs().max() < 1e-9


def test_the_distance_is_0_to_itself_and_grows_with_the_difference():
    dark, bright = [log_mel(sine(200))], [log_mel(sine(4000))]
    mels = [log_mel(noise(seed=i)) for i in range(3)]
    other = [log_mel(noise(seed=i)) for i in range(3, 6)]
    assert mel_frechet(mels, mels) == pytest.approx(0, abs=1e-6)
    assert mel_frechet(mels, other) < mel_frechet(dark, bright)


def test_a_sound_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match=r"must have more than .* samples; got 100"):
        log_mel(torch.zeros(100))


def test_the_verb_draws_every_file_and_says_the_distance(tmp_path, capsys):
    for name, hz in (("a", 300), ("b", 400)):
        stereo = np.stack([sine(hz, rate=44_100).numpy()] * 2, axis=1)
        soundfile.write(tmp_path / f"{name}.wav", stereo, 44_100)
    assert len(load_audio(tmp_path / "a.wav")) == RATE // 2
    compare_spectrograms(str(tmp_path), against=str(tmp_path))
    said = capsys.readouterr().out
    assert "mel Frechet distance of 2 files to 2: 0.00" in said and "torchaudio" in said
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["a-mel.png", "b-mel.png"]
    with pytest.raises(ValueError, match="no WAV files"):
        compare_spectrograms(str(tmp_path / "empty"))
