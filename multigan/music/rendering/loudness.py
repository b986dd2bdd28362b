"""Figures of sound: integrated loudness, peak, clipping, silence and spectral centroid.

Source: ITU-R BS.1770-4; filters for any rate as in Steinmetz and Reiss 2021, pyloudnorm.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

BLOCK_SECONDS, BLOCKS_PER_SECOND = 0.4, 10  # blocks of loudness overlap by three quarters
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0  # LUFS, and LU below the loudness of what is louder
OFFSET = -0.691  # LUFS of a power of 1, so that 997 Hz at full scale in one channel has -3.01
TREBLE_HZ, TREBLE_DB, TREBLE_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
TREBLE_SLOPE = 0.4996667741545416
HIGHPASS_HZ, HIGHPASS_Q = 38.13547087602444, 0.5003270373238773
SILENT = 10 ** (-60 / 20)  # of full scale
CLIPPED = 0.999  # of full scale
FRAME = 2048  # samples of a spectrum
FILTERED = 2**15  # samples filtered at once
SETTLING_SECONDS = 0.25  # after it the impulse response of the filters is below 1e-20


class SoundFigures(NamedTuple):
    """Loudness in LUFS, peak in dBFS, shares of the samples, and the centroid in Hz."""

    loudness_lufs: float
    peak_dbfs: float
    clipped_share: float
    silent_share: float  # frames below -60 dBFS at their loudest
    centroid_hz: float  # mean over the frames that are not silent, weighted by power

    def line(self) -> str:
        """Return the figures as a person reads them."""
        return (
            f"{self.loudness_lufs:.1f} LUFS, peak {self.peak_dbfs:.1f} dBFS, "
            f"{self.clipped_share:.2%} clipped, {self.silent_share:.1%} silent, "
            f"centroid {self.centroid_hz:.0f} Hz"
        )


def sound_figures(sound: np.ndarray, rate: int) -> SoundFigures:
    """Return the figures of a sound (samples, channels) in [-1, 1]; -inf dB for silence."""
    loudest = np.abs(sound).max(1, initial=0)
    peak = float(loudest.max(initial=0))
    pad = -len(sound) % FRAME
    frames = np.pad(sound.mean(1), (0, pad)).reshape(-1, FRAME)
    audible = np.pad(loudest, (0, pad)).reshape(-1, FRAME).max(1, initial=0) > SILENT
    power = (np.abs(np.fft.rfft(frames[audible] * np.hanning(FRAME))) ** 2).sum(0)
    hertz = np.fft.rfftfreq(FRAME, 1 / rate)
    return SoundFigures(
        loudness(sound, rate),
        20 * math.log10(peak) if peak else -math.inf,
        float((loudest >= CLIPPED).mean()) if len(sound) else 0.0,
        1 - float(audible.mean()) if len(audible) else 1.0,
        float(power @ hertz / max(power.sum(), 1e-12)),
    )


def loudness(sound: np.ndarray, rate: int) -> float:
    """Return the integrated loudness in LUFS of a sound (samples, channels); -inf for silence.

    A sound shorter than a block is one block.
    """
    if not len(sound):
        return -math.inf
    energy = np.concatenate([[0.0], np.cumsum(_weighted_energy(sound, rate), dtype=float)])
    block = min(round(BLOCK_SECONDS * rate), len(sound))
    starts = np.arange(0, len(sound) - block + 1, rate // BLOCKS_PER_SECOND)
    power = (energy[starts + block] - energy[starts]) / block
    power = power[_lufs(power) > ABSOLUTE_GATE]
    if not len(power):
        return -math.inf
    gate = float(_lufs(power.mean())) + RELATIVE_GATE
    return float(_lufs(power[_lufs(power) > gate].mean()))


def _weighted_energy(sound: np.ndarray, rate: int) -> np.ndarray:
    """Return the energy (samples,) of the K-weighted channels, filtered by overlap-save."""
    settling = round(SETTLING_SECONDS * rate)
    size = 2 ** math.ceil(math.log2(max(FILTERED, 4 * settling)))
    count = math.ceil(len(sound) / (size - settling))
    padded = torch.zeros(sound.shape[1], size + (count - 1) * (size - settling))
    padded[:, settling : settling + len(sound)] = torch.tensor(sound.T)
    spectra = torch.fft.rfft(padded.unfold(1, size, size - settling))
    weighted = torch.fft.irfft(spectra * _weights(size, rate), size)[..., settling:]
    return weighted.square().sum(0).flatten()[: len(sound)].numpy()


@lru_cache(4)
def _weights(size: int, rate: int) -> torch.Tensor:
    """Return the response of K-weighting at the frequencies of a spectrum of `size` samples."""
    response = k_weighting(np.fft.rfftfreq(size, 1 / rate), rate)
    return torch.from_numpy(response).to(torch.complex64)


def _lufs(power: np.ndarray) -> np.ndarray:
    return OFFSET + 10 * np.log10(np.maximum(power, 1e-20))


def k_weighting(hertz: np.ndarray, rate: int) -> np.ndarray:
    """Return the response of the two filters of K-weighting at some frequencies, complex."""
    z = np.exp(-2j * np.pi * hertz / rate)
    high = 10 ** (TREBLE_DB / 20)
    middle = high**TREBLE_SLOPE
    k = math.tan(math.pi * TREBLE_HZ / rate)
    treble = _biquad(
        (high + middle * k / TREBLE_Q + k * k, 2 * (k * k - high),
         high - middle * k / TREBLE_Q + k * k),
        (1 + k / TREBLE_Q + k * k, 2 * (k * k - 1), 1 - k / TREBLE_Q + k * k),
        z,
    )  # fmt: skip
    k = math.tan(math.pi * HIGHPASS_HZ / rate)
    scale = 1 + k / HIGHPASS_Q + k * k  # BS.1770 leaves the numerator 1, -2, 1 unscaled
    poles = (scale, 2 * (k * k - 1), 1 - k / HIGHPASS_Q + k * k)
    highpass = _biquad((scale, -2 * scale, scale), poles, z)
    return treble * highpass


def _biquad(b: tuple[float, ...], a: tuple[float, ...], z: np.ndarray) -> np.ndarray:
    """Return the response of a filter of second order; `z` is a delay of one sample."""
    return (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
